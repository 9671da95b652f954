"""nginx, HAProxy and squid from Debian before Togai, whose ledger is the judge: each event is billed once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests
from gateways import CERTIFICATE, Gateway, haproxy, nginx, running, squid, wait
from serving import PATIENCE

from togai_shipper import Shipper
from togai_shipper.testing import FakeTogai, faults

pytestmark = pytest.mark.servers

Ship = Callable[..., Shipper]

# Python's ssl leaves a socket to the collector that was reset just before its handshake.
resets_handshakes = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning"
)


def upstream(togai: FakeTogai) -> str:
    """Where Togai is, for a gateway."""
    return togai.url.removeprefix("http://")


def track(shipper: Shipper, count: int, padding: int = 0) -> set[str]:
    """Track so many events; their ids."""
    dimensions = {"padding": "x" * padding} if padding else None
    ids = {shipper.track("api_call", "acme", {"count": 1}, dimensions) for _ in range(count)}
    assert None not in ids
    return {str(event_id) for event_id in ids}


def assert_each_is_billed_once(togai: FakeTogai, shipper: Shipper, ids: set[str]) -> None:
    """All of them arrive, none twice, none under another id; and the counters say so."""
    delivered = wait(lambda: not shipper.pending)
    assert delivered, (shipper.stats(), len(togai.ledger.lost(ids)))
    report = shipper.close()
    assert report, report
    stats = shipper.stats()
    assert (stats.accepted, stats.delivered, stats.pending) == (len(ids), len(ids), 0)
    assert (stats.rejected, sum(stats.dropped.values())) == (0, 0)
    assert togai.ledger.ids == ids
    assert togai.ledger.lost(ids) == set()
    assert togai.ledger.billed_twice == set()
    assert togai.ledger.metered == len(ids)


def load(togai: FakeTogai, shipper: Shipper, disturb: Callable[[], object], rounds: int = 8) -> set[str]:
    """Track while the way to Togai is disturbed, again and again, each time some more got through."""
    ids: set[str] = set()
    for _ in range(rounds):
        ids |= track(shipper, 40)
        disturb()
        ids |= track(shipper, 40)
        some = togai.ledger.metered + 1
        assert togai.wait(lambda some=some: togai.ledger.metered >= some, PATIENCE), shipper.stats()
    return ids


def trickle(togai: FakeTogai, shipper: Shipper) -> set[str]:
    """Track a few events each time those before have arrived: there is always an idle connection."""
    ids: set[str] = set()
    for _ in range(40):
        some = track(shipper, 3)
        assert togai.wait(lambda some=some: not togai.ledger.lost(some), PATIENCE), shipper.stats()
        ids |= some
    return ids


# --- nginx --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("most", ["4k", "40k"])
@pytest.mark.parametrize("lingering", ["on", "off"])
def test_nginx_with_a_small_client_max_body_size_gets_smaller_batches(
    togai: FakeTogai, ship: Ship, most: str, lingering: str
) -> None:
    """Where it does not linger, it cuts the connection while the batch is still being sent."""
    limits = f"client_max_body_size {most}; lingering_close {lingering};"
    with running(nginx(upstream(togai)), http=limits) as gateway:
        shipper = ship(base_url=gateway.url, flush_interval=0.2)
        ids = track(shipper, 2000, padding=150)
        assert_each_is_billed_once(togai, shipper, ids)


@pytest.mark.parametrize("status", ["503", "429"])
def test_nginx_with_limit_req_delays_and_nothing_else(togai: FakeTogai, ship: Ship, status: str) -> None:
    zone = "limit_req_zone $binary_remote_addr zone=all:1m rate=20r/s;"
    limit = f"limit_req zone=all burst=2 nodelay; limit_req_status {status};"
    with running(nginx(upstream(togai)), http=zone, location=limit) as gateway:
        shipper = ship(base_url=gateway.url, batch_size=20)
        ids = track(shipper, 600)
        assert_each_is_billed_once(togai, shipper, ids)
        assert shipper.stats().replies.get(int(status))


@pytest.mark.parametrize("ingest", ["all", "none"])
def test_what_togai_took_after_nginx_gave_it_up_is_billed_once(
    togai: FakeTogai, ship: Ship, ingest: Any
) -> None:
    with running(nginx(upstream(togai)), location="proxy_read_timeout 100ms;") as gateway:
        slow = faults.Slow(0.3, ingest="all") if ingest == "all" else faults.Hang()
        togai.script(*[slow, None] * 5)
        shipper = ship(base_url=gateway.url, batch_size=50)
        ids = track(shipper, 500)
        assert_each_is_billed_once(togai, shipper, ids)
        assert shipper.stats().replies[504] >= 4


@resets_handshakes
@pytest.mark.parametrize("listen", ["", "ssl"], ids=["plain", "TLS"])
def test_nginx_reloaded_under_load_loses_nothing(togai: FakeTogai, ship: Ship, listen: str) -> None:
    with running(nginx(upstream(togai)), listen=listen) as gateway:
        url = gateway.url.replace("http:", "https:") if listen else gateway.url
        shipper = ship(base_url=url, batch_size=7, session_factory=trusting)
        ids = load(togai, shipper, gateway.reload)
        assert_each_is_billed_once(togai, shipper, ids)


@resets_handshakes
@pytest.mark.parametrize("listen", ["", "ssl"], ids=["plain", "TLS"])
def test_nginx_killed_and_started_again_under_load_loses_nothing(
    togai: FakeTogai, ship: Ship, listen: str
) -> None:
    with running(nginx(upstream(togai)), listen=listen) as gateway:
        url = gateway.url.replace("http:", "https:") if listen else gateway.url
        shipper = ship(base_url=url, batch_size=7, session_factory=trusting)
        ids = load(togai, shipper, gateway.restart)
        assert_each_is_billed_once(togai, shipper, ids)


@pytest.mark.parametrize("listen", ["", "ssl"], ids=["plain", "TLS"])
@pytest.mark.parametrize(
    "keeps", ["keepalive_requests 2;", "keepalive_timeout 20ms;", "keepalive_timeout 0;"]
)
def test_nginx_that_closes_kept_connections_early_loses_nothing(
    togai: FakeTogai, ship: Ship, keeps: str, listen: str
) -> None:
    with running(nginx(upstream(togai)), http=keeps, listen=listen) as gateway:
        url = gateway.url.replace("http:", "https:") if listen else gateway.url
        shipper = ship(base_url=url, batch_size=3, session_factory=trusting)
        ids = trickle(togai, shipper)
        assert_each_is_billed_once(togai, shipper, ids)


def test_togai_restarted_behind_nginx_loses_nothing(togai: FakeTogai, ship: Ship) -> None:
    with running(nginx(upstream(togai))) as gateway:
        shipper = ship(base_url=gateway.url, batch_size=7)

        def restart() -> None:
            togai.stop()
            failed = shipper.stats().replies.get(502, 0)
            track_some = track(shipper, 7)
            assert wait(lambda: shipper.stats().replies.get(502, 0) > failed), shipper.stats()
            togai.start()
            meanwhile.update(track_some)

        meanwhile: set[str] = set()
        ids = load(togai, shipper, restart) | meanwhile
        assert_each_is_billed_once(togai, shipper, ids)


def test_a_page_of_nginx_that_says_200_is_not_togais_word(togai: FakeTogai, ship: Ship) -> None:
    pages = "error_page 502 503 504 =200 /maintenance;"
    with running(nginx(upstream(togai)), location=pages) as gateway:
        togai.stop()
        shipper = ship(base_url=gateway.url)
        ids = track(shipper, 50)
        assert wait(lambda: shipper.stats().replies.get(200, 0) > 3)
        assert shipper.stats().delivered == 0
        togai.start()
        assert_each_is_billed_once(togai, shipper, ids)


def test_nginx_that_hangs_up_on_every_third_request_loses_nothing(togai: FakeTogai, ship: Ship) -> None:
    """It does so before Togai has it; or after, and then Togai has taken it."""
    some = 'split_clients "$request_id" $fate { 30% "hang up"; * ""; }'
    with running(nginx(upstream(togai)), http=some, location="if ($fate) { return 444; }") as gateway:
        togai.script(*[None, faults.Reset(ingest="all"), None, faults.Cut(ingest="all")] * 10)
        shipper = ship(base_url=gateway.url, batch_size=7)
        ids = track(shipper, 500)
        assert_each_is_billed_once(togai, shipper, ids)


# --- HAProxy ------------------------------------------------------------------------------------------------


def test_what_togai_took_after_haproxy_gave_it_up_is_billed_once(togai: FakeTogai, ship: Ship) -> None:
    with running(haproxy(upstream(togai)), back="timeout server 100ms") as gateway:
        togai.script(*[faults.Slow(0.3, ingest="all"), None, faults.Hang()] * 3)
        shipper = ship(base_url=gateway.url, batch_size=50)
        ids = track(shipper, 500)
        assert_each_is_billed_once(togai, shipper, ids)
        assert shipper.stats().replies[504] >= 4


def test_a_full_queue_of_haproxy_delays_and_nothing_else(togai: FakeTogai, ship: Ship) -> None:
    with running(haproxy(upstream(togai)), back="timeout queue 30ms", server="maxconn 1") as gateway:
        togai.on_request = lambda _: faults.Slow(0.1)
        shipper = ship(base_url=gateway.url, batch_size=20, max_in_flight=4)
        other = ship(base_url=gateway.url, batch_size=20, max_in_flight=4)
        ids, others = track(shipper, 400), track(other, 400)
        assert wait(lambda: not shipper.pending and not other.pending)
        assert other.close()
        assert shipper.stats().replies.get(503, 0) + other.stats().replies.get(503, 0) > 0
        assert togai.ledger.ids == ids | others
        assert togai.ledger.billed_twice == set()
        assert togai.ledger.metered == 800


@pytest.mark.parametrize("option", ["http-keep-alive", "http-server-close", "httpclose"])
def test_haproxy_reloaded_under_load_loses_nothing(togai: FakeTogai, ship: Ship, option: str) -> None:
    with running(haproxy(upstream(togai)), defaults=f"option {option}") as gateway:
        shipper = ship(base_url=gateway.url, batch_size=7)
        ids = load(togai, shipper, gateway.reload)
        assert_each_is_billed_once(togai, shipper, ids)


@pytest.mark.parametrize("option", ["http-keep-alive", "http-server-close"])
def test_haproxy_that_closes_idle_connections_early_loses_nothing(
    togai: FakeTogai, ship: Ship, option: str
) -> None:
    early = f"option {option}\n    timeout http-keep-alive 20ms\n    timeout http-request 50ms"
    with running(haproxy(upstream(togai)), defaults=early) as gateway:
        shipper = ship(base_url=gateway.url, batch_size=3)
        ids = trickle(togai, shipper)
        assert_each_is_billed_once(togai, shipper, ids)


@pytest.mark.parametrize(
    "how", ["deny deny_status 429", "deny deny_status 503", "deny deny_status 500", "reject"]
)
def test_haproxy_that_refuses_some_requests_delays_and_nothing_else(
    togai: FakeTogai, ship: Ship, how: str
) -> None:
    with running(haproxy(upstream(togai)), front=f"http-request {how} if {{ rand(3) eq 0 }}") as gateway:
        shipper = ship(base_url=gateway.url, batch_size=20)
        ids = track(shipper, 500)
        assert_each_is_billed_once(togai, shipper, ids)


def test_haproxy_that_drops_connections_in_silence_delays_and_nothing_else(
    togai: FakeTogai, ship: Ship
) -> None:
    """The connection is there for the shipper, and for nobody else."""
    with running(haproxy(upstream(togai)), front="http-request silent-drop if { rand(4) eq 0 }") as gateway:
        shipper = ship(base_url=gateway.url, batch_size=50, timeout=(0.5, 0.5))
        ids = track(shipper, 500)
        assert_each_is_billed_once(togai, shipper, ids)


@pytest.mark.parametrize("status", ["401", "403"])
def test_what_haproxy_denies_waits_until_it_does_not(togai: FakeTogai, ship: Ship, status: str) -> None:
    with running(haproxy(upstream(togai)), front=f"http-request deny deny_status {status}") as gateway:
        shipper = ship(base_url=gateway.url)
        ids = track(shipper, 50)
        assert wait(lambda: shipper.stats().state == "parked")
        assert (shipper.healthy, shipper.pending) == (False, 50)
        gateway.reload(front="")
        page = gateway.url + "/ingest"
        assert wait(lambda: requests.get(page, timeout=PATIENCE).status_code == 405)  # Togai's own word
        if status == "401":  # probed after ten minutes, for fear of Togai's own limit
            shipper.set_api_key("secret")
        assert_each_is_billed_once(togai, shipper, ids)


# --- squid --------------------------------------------------------------------------------------------------


def trusting() -> requests.Session:
    """A session that knows the certificate of the tests."""
    session = requests.Session()
    session.verify = str(CERTIFICATE)
    return session


def through(proxy: Gateway) -> Callable[[], requests.Session]:
    """Make sessions that go by a proxy."""

    def make() -> requests.Session:
        session = trusting()
        session.proxies = {"http": proxy.url, "https": proxy.url}
        return session

    return make


def beyond(togai: FakeTogai) -> dict[str, Any]:
    """Options of a shipper to which Togai is on another machine: to loopback no proxy is used."""
    return {"base_url": f"http://togai.test:{togai.port}", "allow_insecure": True}


def test_a_proxy_restarted_under_load_loses_nothing(togai: FakeTogai, ship: Ship) -> None:
    with running(squid(names=("togai.test",))) as proxy:
        shipper = ship(**beyond(togai), batch_size=7, session_factory=through(proxy))
        ids = load(togai, shipper, proxy.restart, rounds=4)
        assert_each_is_billed_once(togai, shipper, ids)


def test_a_proxy_of_the_environment_is_used(
    togai: FakeTogai, ship: Ship, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(squid(names=("togai.test",))) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        shipper = ship(**beyond(togai), batch_size=7)
        ids = load(togai, shipper, lambda: None, rounds=2)
        assert_each_is_billed_once(togai, shipper, ids)


@resets_handshakes
def test_a_proxy_restarted_under_the_tunnel_to_togai_loses_nothing(togai: FakeTogai, ship: Ship) -> None:
    with running(squid(names=("togai.test",))) as proxy, running(nginx(upstream(togai)), listen="ssl") as tls:
        url = f"https://togai.test:{tls.port}"
        shipper = ship(base_url=url, batch_size=7, session_factory=through(proxy))
        ids = load(togai, shipper, proxy.restart, rounds=4)
        ids |= load(togai, shipper, tls.reload, rounds=4)
        assert_each_is_billed_once(togai, shipper, ids)


def test_togai_restarted_behind_a_proxy_loses_nothing(togai: FakeTogai, ship: Ship) -> None:
    with running(squid(names=("togai.test",))) as proxy:
        shipper = ship(**beyond(togai), batch_size=7, session_factory=through(proxy))
        ids = load(togai, shipper, lambda: (togai.stop(), togai.start()))
        assert_each_is_billed_once(togai, shipper, ids)


DENIED = {
    "403": "http_access deny all",
    "407": (
        "auth_param basic program /usr/lib/squid/basic_fake_auth\n"
        "acl known proxy_auth REQUIRED\nhttp_access allow known\nhttp_access deny all"
    ),
}


@pytest.mark.parametrize("tunnelled", ["plain", "CONNECT"])
@pytest.mark.parametrize("access", DENIED.values(), ids=DENIED)
def test_what_a_proxy_denies_waits_until_it_does_not(
    togai: FakeTogai, ship: Ship, access: str, tunnelled: str
) -> None:
    behind = nginx(upstream(togai))
    with running(squid(names=("togai.test",)), access=access) as proxy, running(behind, listen="ssl") as tls:
        url = f"https://togai.test:{tls.port}" if tunnelled == "CONNECT" else beyond(togai)["base_url"]
        shipper = ship(base_url=url, allow_insecure=True, session_factory=through(proxy))
        ids = track(shipper, 50)
        assert wait(lambda: shipper.stats().last_error)
        assert (shipper.pending, togai.ledger.accepted) == (50, 0)
        proxy.write()
        proxy.restart()
        assert_each_is_billed_once(togai, shipper, ids)


@pytest.mark.parametrize("access", DENIED.values(), ids=DENIED)
def test_what_a_proxy_never_let_through_is_told_as_never_delivered(ship: Ship, access: str) -> None:
    """Of a tunnel that was refused, Togai cannot have had a byte."""
    told: list[Any] = []
    with running(squid(names=("togai.test",)), access=access) as proxy:
        shipper = ship(
            base_url="https://localhost:9",
            session_factory=through(proxy),
            on_error=lambda error, _: told.append(error),
            backoff_initial=5.0,
            backoff_max=5.0,
        )
        track(shipper, 5)
        assert wait(lambda: shipper.stats().last_error)
        shipper.close(0)
    assert [error.maybe_delivered for error in told if str(error) == "closed"] == [False]

"""What a request takes along, and by whom it goes: no cookies, no proxy to this machine, no key in clear."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from raw_server import FINE, Say, raw_server
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool

from togai_shipper._engine.transport import Transport
from togai_shipper._engine.verdict import Accepted, Reply, TryLater, judge
from togai_shipper._secret import Secret

BODY = b'{"event":{"id":"1"}}'
SETS_COOKIE = FINE.replace(b"\r\n\r\n", b"\r\nSet-Cookie: a=1; Path=/\r\nSet-Cookie2: b=2\r\n\r\n")
Factory = Callable[[], requests.Session]


def send(transport: Transport) -> Reply:
    return transport.post("/ingest", BODY, Secret("secret"), 1e6)


def with_cookies() -> requests.Session:
    session = requests.Session()
    session.cookies.set("mine", "1")
    session.headers["cookie"] = "mine=2"
    return session


def with_an_adapter_that_adds_cookies() -> requests.Session:
    class Adding(HTTPAdapter):
        def add_headers(self, request: requests.PreparedRequest, **_: Any) -> None:
            request.headers["Cookie"] = "adapters=1"

    session = requests.Session()
    session.mount("http://", Adding())
    return session


def with_connections_of_its_own() -> requests.Session:
    class OwnPool(HTTPAdapter):
        def get_connection_with_tls_context(
            self, request: requests.PreparedRequest, *_: object, **__: object
        ) -> HTTPConnectionPool:
            return self.get_connection(request.url or "")

        def get_connection(
            self, url: str, *_: object, **__: object
        ) -> HTTPConnectionPool:  # before requests 2.32
            return HTTPConnectionPool("127.0.0.1", urlsplit(url).port)

    session = with_cookies()
    session.mount("http://", OwnPool())
    return session


MOVED = b"HTTP/1.1 302 There\r\nLocation: /\r\nSet-Cookie: c=3\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    "factory", [None, with_cookies, with_an_adapter_that_adds_cookies, with_connections_of_its_own]
)
def test_no_request_has_a_cookie_whoever_set_it_and_none_is_kept(factory: Factory | None) -> None:
    with raw_server(SETS_COOKIE, MOVED) as server:
        transport = Transport(server.url, (5, 5), factory)
        for _ in range(4):
            send(transport)
        kept = list(transport.open().cookies)
        transport.close()

    assert len(server.heads) >= 2
    assert not any(b"cookie" in head.lower() for head in server.heads)
    assert not kept


def test_a_session_that_is_shared_sends_its_own_header_of_cookies_with_the_applications_requests() -> None:
    session = requests.Session()
    with raw_server() as server:
        transport = Transport(server.url, (5, 5), lambda: session)
        send(transport)
        session.post(server.url, BODY, headers={"Cookie": "mine=1"})
        transport.close()

    assert [b"mine=1" in head for head in server.heads] == [False, True]


# --- proxies ------------------------------------------------------------------------------------------------


def by_proxies(**proxies: str) -> Factory:
    def session() -> requests.Session:
        made = requests.Session()
        made.proxies.update({name.replace("_", "://"): url for name, url in proxies.items()})
        return made

    return session


@pytest.mark.parametrize(
    "named", ["http", "all", "http_localhost", "all_localhost", "environment", "environment, by a session"]
)
def test_no_proxy_leads_to_this_very_machine_whoever_made_the_session(
    named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with raw_server() as proxy, raw_server() as server:
        factory: Factory | None = by_proxies(**{named: proxy.url})
        if named.startswith("environment"):
            factory = requests.Session if "session" in named else None
            for name in ("http_proxy", "all_proxy"):
                monkeypatch.setenv(name, proxy.url)
        transport = Transport(server.url, (5, 5), factory)
        assert judge(send(transport)) == Accepted()
        transport.close()

    assert (len(server.heads), proxy.heads) == (1, [])


class Forced(requests.Session):
    """An application's session, which goes by its proxy whatever it is asked."""

    def request(self, *args: Any, **options: Any) -> requests.Response:
        options["proxies"] = {"http": self.proxies["mine"]}
        return super().request(*args, **options)


class Rewriting(HTTPAdapter):
    """An application's adapter, which sends to another host than it is asked to."""

    def get_connection_with_tls_context(self, *_: object, **__: object) -> Any:
        return self.poolmanager.connection_from_url("http://togai.invalid")

    get_connection = get_connection_with_tls_context


@pytest.mark.parametrize("insecure", [False, True])
def test_an_unencrypted_key_goes_by_a_proxy_only_where_the_application_says_so(insecure: bool) -> None:  # noqa: FBT001  pytest's
    with raw_server() as proxy:
        session = Forced()
        session.proxies["mine"] = proxy.url
        transport = Transport("http://127.0.0.1:9", (5, 5), lambda: session, allow_insecure=insecure)
        reply = send(transport)
        transport.close()

    assert (reply.status == 202, len(proxy.heads)) == (insecure, insecure)
    if not insecure:
        assert reply.error == (
            "no reply: localhost would get the key unencrypted; use https, or allow_insecure=True"
        )
        assert not reply.sent


def test_an_unencrypted_key_goes_to_no_other_host_by_a_sessions_adapter() -> None:
    def session() -> requests.Session:
        made = requests.Session()
        made.mount("https://", Rewriting())
        return made

    transport = Transport("https://127.0.0.1:9", (1, 1), session)
    reply = send(transport)
    transport.close()

    assert reply.error.startswith("no reply: togai.invalid would get the key unencrypted")


def test_a_session_that_asks_another_host_than_it_was_told_is_not_given_the_key() -> None:
    class Elsewhere(requests.Session):
        def post(self, url: str, *args: Any, **options: Any) -> requests.Response:  # type: ignore[override]
            return super().post("http://togai.invalid/", *args, **options)

    transport = Transport("http://127.0.0.1:9", (1, 1), Elsewhere)
    assert send(transport).error.startswith("no reply: togai.invalid would get the key unencrypted")
    transport.close()


# --- a 202 without a length ---------------------------------------------------------------------------------


def test_a_202_that_always_ends_where_its_head_does_is_believed_from_the_second_on() -> None:
    bare = Say(b"HTTP/1.1 202 Accepted\r\n\r\n", close=True)
    with raw_server(bare, bare, bare, FINE, bare) as server:
        transport = Transport(server.url, (5, 5))
        said = [judge(send(transport)) for _ in range(5)]
        transport.close()

    doubted = TryLater(202, "HTTP 202, perhaps cut after 0 bytes")
    assert said == [doubted, Accepted(), Accepted(), Accepted(), doubted]

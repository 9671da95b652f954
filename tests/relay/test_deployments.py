"""A relay by TLS, with replicas and Sentinel, and in a Cluster, each for real."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis
from redis.sentinel import Sentinel
from servers import REDIS, RedisServer, free_port, needs_redis, running, until
from stocked import BASE, command, event

from togai_shipper.relay.answers import Added, Done, Removed
from togai_shipper.relay.entries import fields_of
from togai_shipper.relay.errors import RelayError, Unreachable
from togai_shipper.relay.journal import Counts
from togai_shipper.relay.link import Link

pytestmark = needs_redis
PEM = Path(__file__).parents[1] / "loopback.pem"  # names localhost and 127.0.0.1


def hand_over(link: Link, name: str, replicas: int = 0) -> Added:
    return link.add(fields_of([event(name)], name.encode() * 16, 1), BASE, 10**9, replicas=replicas)


# --- TLS ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tls_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    port = free_port()
    options = ("--tls-cert-file", PEM, "--tls-key-file", PEM, "--tls-ca-cert-file", PEM)
    directory, bind = tmp_path_factory.mktemp("redis"), ("--bind", "127.0.0.1", "127.0.0.2")
    with running(directory, "--tls-port", str(port), *map(str, options), "--tls-auth-clients", "no", *bind):
        yield port


def test_a_relay_is_reached_by_tls_with_a_certificate_that_is_trusted(tls_port: int) -> None:
    link = Link(f"rediss://localhost:{tls_port}?ssl_ca_certs={PEM}", "togai")
    assert hand_over(link, "a").server is not None
    link.close()
    url = f"rediss://127.0.0.1:{tls_port}/0?ssl_ca_certs={PEM}"
    result = command("spool", "ls", url)
    assert "events      1\n" in result.stdout
    assert str(PEM) not in result.stdout  # a URL is shown without its options


@pytest.mark.parametrize("options", ["", "?ssl_ca_certs={PEM}"])
def test_a_certificate_that_is_not_trusted_or_for_another_host_is_refused(
    tls_port: int, options: str
) -> None:
    host = "127.0.0.2" if options else "localhost"
    with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
        hand_over(Link(f"rediss://{host}:{tls_port}{options.format(PEM=PEM)}", "togai"), "b")


def test_whether_a_certificate_is_checked_is_the_urls(tls_port: int) -> None:
    hand_over(Link(f"rediss://127.0.0.2:{tls_port}?ssl_cert_reqs=none", "togai"), "c")


def test_plain_text_where_tls_is_wanted_is_one_line(tls_port: int) -> None:
    result = command("spool", "ls", f"redis://127.0.0.1:{tls_port}")
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1


# --- replicas and Sentinel ---------------------------------------------------------------------------------

QUICK_SYNC = ("--repl-diskless-sync-delay", "0")


@pytest.mark.servers
def test_a_relay_behind_sentinel_is_found_again_after_its_master_is_gone(tmp_path: Path) -> None:
    with ExitStack() as stack:
        master = stack.enter_context(running(tmp_path / "a", *QUICK_SYNC))
        of_master = ("--replicaof", f"127.0.0.1 {master.port}")
        replica = stack.enter_context(running(tmp_path / "b", *QUICK_SYNC, *of_master))
        sentinel = stack.enter_context(running_sentinel(tmp_path, master.port))

        def source() -> redis.Redis:
            client: redis.Redis = Sentinel([("127.0.0.1", sentinel)], socket_timeout=2).master_for(
                "relay", socket_timeout=5
            )
            return client

        until(lambda: master.client().info("replication")["connected_slaves"] == 1)
        until(lambda: redis.Redis(port=sentinel).execute_command("SENTINEL REPLICAS", "relay"))
        link = Link(source, "togai", client_name="togai-drain:me")
        first = hand_over(link, "a", replicas=1)
        assert first.replicas == 1

        master.kill()
        told: set[type[RelayError]] = set()
        second: list[Added] = []

        def goes_on() -> bool:
            try:
                second.append(hand_over(link, "b"))
            except RelayError as error:
                told.add(type(error))
            return bool(second)

        until(goes_on)
        assert told <= {Unreachable}
        assert second[0].server != first.server
        assert link.length() == 2
        assert replica.client().info("replication")["role"] == "master"


class running_sentinel(ExitStack):  # noqa: N801  used as a function, like ``running``
    """A Sentinel that watches one master, called ``relay``; gives its port."""

    def __init__(self, directory: Path, master: int) -> None:
        super().__init__()
        self._directory, self._master = directory, master

    def __enter__(self) -> int:  # type: ignore[override]  a port, and no stack
        port, path = free_port(), self._directory / "sentinel.conf"
        path.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {self._directory}\n"
            f"sentinel monitor relay 127.0.0.1 {self._master} 1\n"
            "sentinel down-after-milliseconds relay 300\nsentinel failover-timeout relay 3000\n"
        )
        assert REDIS
        process = subprocess.Popen([REDIS, str(path), "--sentinel"], stdout=subprocess.DEVNULL)
        self.callback(process.wait)
        self.callback(process.kill)
        until(lambda: redis.Redis(port=port).ping())
        return port


def test_a_master_that_was_demoted_has_taken_nothing(tmp_path: Path) -> None:
    with running(tmp_path / "a") as other, running(tmp_path / "b") as demoted:
        link = Link(demoted.url, "togai")
        hand_over(link, "a")
        demoted.client().replicaof("127.0.0.1", other.port)
        with pytest.raises(Unreachable, match="read only replica") as told:
            hand_over(link, "b")
        assert not told.value.may_be_done
        result = command("doctor", "--no-request", "--relay", demoted.url)
        assert "fail  replicas     this is a replica, and takes no events" in result.stdout


# --- a Cluster ---------------------------------------------------------------------------------------------

SLOTS = ((0, 5460), (5461, 10922), (10923, 16383))


def is_up(node: RedisServer) -> bool:
    found = node.client().execute_command("CLUSTER INFO")
    return bool(found["cluster_state"] == "ok" and found["cluster_known_nodes"] == "3")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sequence[RedisServer]]:
    directory = tmp_path_factory.mktemp("cluster")
    options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "1000")
    with ExitStack() as stack:
        nodes = [stack.enter_context(running(directory / str(n), *options)) for n in range(3)]
        for number, node in enumerate(nodes):
            node.client().execute_command("CLUSTER ADDSLOTSRANGE", *SLOTS[number])
            node.client().execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
            nodes[0].client().execute_command("CLUSTER MEET", "127.0.0.1", node.port)
        until(lambda: all(map(is_up, nodes)))
        yield nodes


@pytest.fixture
def in_cluster(cluster: Sequence[RedisServer]) -> Iterator[Callable[[str], Link]]:
    made: list[redis.RedisCluster] = []

    def source() -> redis.RedisCluster:
        made.append(redis.RedisCluster("127.0.0.1", cluster[0].port))
        return made[-1]

    yield lambda name: Link(source, name)  # type: ignore[arg-type, return-value]  what it asks for, it has
    for client in made:
        client.close()


@pytest.mark.servers
def test_all_of_a_relay_lies_on_one_node_of_a_cluster(
    cluster: Sequence[RedisServer], in_cluster: Callable[[str], Link]
) -> None:
    for name in ("togai", "team-a", "team-b", "team-c"):
        link = in_cluster(name)
        added = hand_over(link, "a")
        link.lease("take", "me", "", fingerprint="f", base_url=BASE)
        ((entry_id, fields),) = link.read("0", 9)
        done = Done(entry_id, fields[b"k"], 1, 1, {"a": b"{}"})
        counts = Counts([{"x": 1}], "delivered", 1_790_000_000_000)
        assert link.settle("me", [done], 9, counts) == Removed([added.id], [])
        link.lease("release", "me")
        hand_over(link, "b")
        holders = [node for node in cluster if node.client().keys(f"{{{name}}}:*")]
        assert [len(node.client().keys(f"{{{name}}}:*")) for node in holders] == [6]
        assert "dead        1\n" in command("spool", "ls", "--name", name, holders[0].url).stdout
    homes = [node.port for node in cluster if node.client().dbsize()]
    assert len(homes) > 1  # another relay may lie on another node


@pytest.mark.servers
def test_another_node_of_the_cluster_says_how_a_relay_is_given(cluster: Sequence[RedisServer]) -> None:
    others = [node for node in cluster if not node.client().keys("{togai}:*")]
    result = command("spool", "ls", others[0].url)
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert "give relay= a function that makes a RedisCluster" in line


@pytest.mark.servers
def test_a_node_that_comes_back_is_found_again(
    cluster: Sequence[RedisServer], in_cluster: Callable[[str], Link]
) -> None:
    link = in_cluster("togai")
    hand_over(link, "x")
    length = link.length()
    (home,) = [node for node in cluster if node.client().keys("{togai}:*")]
    home.kill()
    with pytest.raises(Unreachable):
        link.length()
    home.start()
    lengths: list[int] = []

    def is_found() -> bool:
        try:
            lengths.append(link.length())
        except Unreachable:
            return False
        return True

    until(is_found)
    assert lengths == [length]

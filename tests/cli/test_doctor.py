"""``togai-shipper doctor``, as an operator runs it."""

from __future__ import annotations

import errno
import json
import os
import re
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from click.testing import CliRunner

from togai_shipper.cli.app import cli
from togai_shipper.cli.doctor import environment_checks, server_checks, spool_checks, world
from togai_shipper.cli.doctor.check import Check
from togai_shipper.cli.doctor.spool_checks import LITTLE_SPACE
from togai_shipper.cli.doctor.world import ServerReply, World
from togai_shipper.cli.spool.files import ASIDE, DAMAGED, FileFacts
from togai_shipper.testing import FakeTogai

KEY = "a-secret-key"
URL = "https://api.togai.com"
NOW = 1_800_000_000.0
DATE = format_datetime(datetime.fromtimestamp(NOW, timezone.utc), usegmt=True)
CERTIFICATE = Path(__file__).parents[1] / "loopback.pem"  # of localhost, self-signed; its key opens nothing


class Net:
    """A network where all is well, unless told otherwise; it notes what is asked."""

    def __init__(self, answer: ServerReply | None = None) -> None:
        self.asked: list[tuple[str, str, str | None]] = []
        self.ends: list[socket.socket] = []
        self._answer = answer or ServerReply(404, DATE)

    def connect(self, _host: str, _port: int) -> socket.socket:
        here, there = socket.socketpair()
        self.ends.append(there)
        return here

    def ask(self, method: str, url: str, key: str | None) -> ServerReply:
        self.asked.append((method, url, key))
        return self._answer

    def world(self, **changes: Any) -> World:
        facts: dict[str, Any] = {
            "addresses": lambda host, port: ["192.0.2.1"],
            "connect": self.connect,
            "handshake": lambda connection, host: {"notAfter": "Jan  1 00:00:00 2100 GMT"},
            "ask": self.ask,
            "proxy_of": lambda url: None,
            "now": lambda: NOW,
            "free": lambda path: 10**12,
        }
        return World(**(facts | changes))


@pytest.fixture
def net() -> Iterator[Net]:
    made = Net()
    yield made
    for end in made.ends:
        end.close()


def run(world: World, *arguments: object, **environ: str | None) -> Any:
    alone = {name: None for name in os.environ if name.upper().startswith("TOGAI_")}
    env = {**alone, "TOGAI_API_KEY": KEY, **environ}
    return CliRunner().invoke(cli, ["doctor", *map(str, arguments)], env=env, obj=world)


def fails(*_: object) -> Any:
    raise OSError(errno.ECONNREFUSED, "Connection refused")


# --- all of it --------------------------------------------------------------------------------------------


def test_where_all_is_well_it_says_so_and_never_shows_the_key(net: Net, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)

    result = run(net.world(), "--spool", tmp_path)

    assert result.exit_code == 0, result.output
    assert KEY not in result.output
    lines = result.stdout.splitlines()
    assert lines[:8] == [
        "ok    key          12 characters, from TOGAI_API_KEY",
        "ok    options      none set in the environment, none refused",
        f"ok    base_url     {URL}",
        "ok    DNS          api.togai.com is 192.0.2.1",
        "ok    TCP          api.togai.com:443 accepts connections",
        f"ok    TLS          its certificate is valid for another {(4_102_444_800 - int(NOW)) // 86_400:,} d",
        "ok    server       answers (with 404, to a request without the key)",
        "ok    clock        within 1 s of the server's",
    ]
    assert lines[8].startswith(f"ok    spool        {tmp_path} can be written to")
    assert lines[-1] == "All is well."
    assert net.asked == [("HEAD", f"{URL}/", None)]


def test_what_is_wrong_is_told_with_what_to_do_and_exit_status_1(net: Net) -> None:
    result = run(net.world(connect=fails), TOGAI_API_KEY=None, TOGAI_FLUSH_INTERVALL="3")

    assert result.exit_code == 1
    assert (
        "fail  key          TOGAI_API_KEY is not set here\n                   Set TOGAI_API_KEY"
        in result.stdout
    )
    assert "warn  TOGAI_FLUSH_INTERVALL is not an option" in result.stdout
    assert "fail  TCP          api.togai.com:443: Connection refused\n" in result.stdout
    assert result.stdout.endswith("2 failures and 1 warning: see above what to do.\n")
    assert net.asked == []


def test_a_warning_alone_is_no_failure(net: Net) -> None:
    result = run(net.world(), TOGAI_ENABLED="false")

    assert result.exit_code == 0
    assert result.stdout.endswith("1 warning: see above what to do.\n")


def test_a_program_reads_the_same(net: Net) -> None:
    result = run(net.world(connect=fails), "--json")

    facts = json.loads(result.stdout)
    assert (result.exit_code, facts["ok"]) == (1, False)
    assert {"level": "ok", "name": "base_url", "found": URL, "advice": ""} in facts["checks"]
    assert KEY not in result.output


def test_no_request_is_made_where_none_is_wanted(net: Net) -> None:
    assert "TCP" in run(net.world(), "--no-request").stdout
    assert net.asked == []
    assert run(net.world(), "--no-request", "--check-key").exit_code == 2


def test_the_key_is_checked_on_request_alone_and_only_where_it_can_be_one(net: Net) -> None:
    run(net.world(), "--check-key")
    run(net.world(), "--check-key", TOGAI_API_KEY="two words")

    assert net.asked == [("GET", f"{URL}/events?pageSize=1", KEY), ("HEAD", f"{URL}/", None)]


def test_a_server_that_is_refused_as_base_url_is_not_asked(net: Net) -> None:
    result = run(net.world(), "--check-key", "--base-url", "http://togai.example", TOGAI_BATCH_SIZE="0")

    assert "fail  base_url     'http://togai.example' would send the key unencrypted" in result.stdout
    assert "fail  TOGAI_BATCH_SIZE must be a whole number" in result.stdout
    assert net.asked == []
    assert "fail  TOGAI_BASE_URL must be" in run(net.world(), TOGAI_BASE_URL="ftp://x").stdout


def test_it_asks_a_real_server_and_no_netrc_gives_it_a_key(tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password b\n")
    with FakeTogai(KEY) as togai:
        result = run(
            World(),
            "--check-key",
            TOGAI_BASE_URL=togai.url,
            NETRC=str(tmp_path / "netrc"),
            HTTP_PROXY="http://x",
        )
        assert "ok    key check    Togai accepts the key" in result.stdout, result.stdout
        assert "ok    TLS          none: plain http" in result.stdout
        assert "ok    clock        within" in result.stdout

        result = run(World(), "--check-key", TOGAI_BASE_URL=togai.url, TOGAI_API_KEY="wrong")
        assert "fail  key check    Togai refuses the key (401)" in result.stdout

        result = run(World(), TOGAI_BASE_URL=togai.url)
        assert "ok    server       answers (with" in result.stdout

    result = run(World(), TOGAI_BASE_URL=togai.url)
    assert f"fail  TCP          127.0.0.1:{togai.port}: Connection refused" in result.stdout


class _Redirecting(BaseHTTPRequestHandler):
    paths: ClassVar[list[str]] = []

    def do_GET(self) -> None:  # http.server's name for it
        self.paths.append(self.path)
        self.send_response(302)
        self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_the_key_follows_no_redirection() -> None:
    with HTTPServer(("127.0.0.1", 0), _Redirecting) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        answer = world.ask("GET", f"http://127.0.0.1:{server.server_port}/events", KEY)
        thread.join(10)

    assert answer.status == 302
    assert _Redirecting.paths == ["/events"]


# --- key and options --------------------------------------------------------------------------------------


def test_a_key_that_cannot_be_one_is_told_without_it() -> None:
    check = environment_checks.key({"TOGAI_API_KEY": "secret\n"})

    assert check.level == "fail"
    assert "a line end in the file it was read from?" in check.found
    assert "secret" not in check.found


@pytest.mark.parametrize(
    ("name", "found", "advice"),
    [
        ("TOGAI_FLUSHINTERVAL", "is not an option, and is not read", "Did you mean TOGAI_FLUSH_INTERVAL?"),
        ("togai_api_key", "is not an option, and is not read", "Did you mean TOGAI_API_KEY?"),
        (
            "TOGAI_ON_ERROR",
            "cannot be set in the environment, and is not read",
            "Pass on_error= in your code.",
        ),
        ("TOGAI_XYZZY", "is not an option, and is not read", "Remove it if it was meant for this library."),
    ],
)
def test_a_name_that_is_not_read_is_told(name: str, found: str, advice: str) -> None:
    (check,) = environment_checks.unknown_names({name: "1", "PATH": "/bin"})

    assert check == Check("warn", name, found, advice)


def test_each_option_that_would_be_refused_is_told() -> None:
    environ = {"TOGAI_API_KEY": "\n", "TOGAI_BATCH_SIZE": "x", "TOGAI_TIMEOUT": "5", "TOGAI_STRICT": "yes"}

    found, config = environment_checks.options(environ, base_url="nowhere")

    assert [(check.level, check.name) for check in found] == [
        ("fail", "base_url"),
        ("fail", "TOGAI_BATCH_SIZE"),
        ("fail", "TOGAI_TIMEOUT"),
    ]
    assert config.strict


def test_two_options_that_do_not_go_together_are_told_and_the_others_kept() -> None:
    environ = {"TOGAI_BACKOFF_INITIAL": "9", "TOGAI_BACKOFF_MAX": "5", "TOGAI_BASE_URL": "https://x.example"}

    (check,), config = environment_checks.options(environ)

    assert (check.name, config.base_url) == ("backoff_max", "https://x.example")


def test_how_many_are_set_is_counted() -> None:
    environ = {"TOGAI_STRICT": "no", "TOGAI_SPOOL": "/x", "TOGAI_BATCH_SIZE": ""}

    (check,), _ = environment_checks.options(environ)

    assert check == Check("ok", "options", "2 set in the environment, none refused")


# --- the network ------------------------------------------------------------------------------------------


def levels(found: Iterator[Check]) -> list[tuple[str, str]]:
    return [(check.level, check.name) for check in found]


def test_a_name_that_nobody_knows_is_told(net: Net) -> None:
    def unknown(_host: str, _port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    (check,) = server_checks.reach(URL, net.world(addresses=unknown))

    assert (check.level, check.name) == ("fail", "DNS")
    assert check.found == "api.togai.com: Name or service not known"


def test_of_many_addresses_some_are_shown(net: Net) -> None:
    check = next(server_checks.reach(URL, net.world(addresses=lambda host, port: ["a", "b", "c", "d"])))

    assert check.found == "api.togai.com is a, b, c, ..."


def test_real_names_are_resolved_once_each() -> None:
    assert "127.0.0.1" in world.addresses("127.0.0.1", 443)


def test_a_proxy_is_what_is_looked_at(net: Net) -> None:
    found = list(server_checks.reach(URL, net.world(proxy_of=lambda url: "http://proxy.example:3128")))

    assert levels(iter(found)) == [("ok", "proxy"), ("ok", "DNS"), ("ok", "TCP")]
    assert found[0].found == "proxy.example:3128, from the environment; the next checks are about it"
    assert world.proxy_of("http://127.0.0.1:1") is None


def test_the_environment_s_proxy_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "")

    assert world.proxy_of(URL) == "http://proxy.example:3128"


@contextmanager
def tls_server() -> Iterator[int]:
    """Somebody who shows the certificate, once."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection, suppress(OSError):  # the other side may not like it
                context.wrap_socket(connection, server_side=True).close()

        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1]
        thread.join(10)


def test_a_certificate_that_nobody_has_signed_is_refused(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    with tls_server() as port:
        real = {"connect": world.connect, "handshake": world.handshake}
        *_, check = server_checks.reach(f"https://localhost:{port}", net.world(**real))

    assert (check.level, check.name) == ("fail", "TLS")
    assert re.fullmatch("its certificate, or its TLS, is refused: self.signed certificate", check.found)


def test_a_certificate_that_is_trusted_says_how_long(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
    with tls_server() as port:
        real = {"connect": world.connect, "handshake": world.handshake}
        *_, check = server_checks.reach(f"https://localhost:{port}", net.world(**real))

    assert (check.level, check.name) == ("ok", "TLS"), check


def test_certificates_may_be_in_a_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path))
    with tls_server() as port, pytest.raises(ssl.SSLCertVerificationError):
        world.handshake(world.connect("127.0.0.1", port), "localhost")


def test_a_certificate_that_ends_soon_is_a_warning() -> None:
    check = server_checks.certificate({"notAfter": "Jan 17 00:00:00 2027 GMT"}, NOW)

    assert (check.level, check.found) == ("warn", "its certificate is valid for another 40 h")


@pytest.mark.parametrize(
    ("status", "level"), [(200, "ok"), (401, "ok"), (404, "ok"), (429, "warn"), (500, "warn"), (503, "warn")]
)
def test_any_answer_but_an_error_will_do(status: int, level: str) -> None:
    assert server_checks.reply(status).level == level


@pytest.mark.parametrize(
    ("status", "level"), [(200, "ok"), (401, "fail"), (403, "warn"), (429, "warn"), (500, "warn")]
)
def test_what_togai_makes_of_the_key(status: int, level: str) -> None:
    assert server_checks.key_reply(status).level == level


def test_no_answer_is_told(net: Net) -> None:
    (check,) = server_checks.answers(URL, None, net.world(ask=fails))

    assert (check.level, check.name) == ("fail", "server")
    assert "Connection refused" in check.found


def test_no_answer_of_a_real_server_is_told_in_a_word(net: Net) -> None:
    with FakeTogai(KEY) as togai:
        url = togai.url

    (check,) = server_checks.answers(url, None, net.world(ask=world.ask))

    assert check.found == "no answer: ConnectionError"


@pytest.mark.parametrize(
    ("ahead", "level", "words"),
    [
        (0, "ok", "within 1 s"),
        (60, "ok", "within 60 s"),
        (-61, "warn", "1 min behind"),
        (7200, "warn", "2 h ahead of"),
    ],
)
def test_a_clock_that_is_off_is_a_warning(ahead: float, level: str, words: str) -> None:
    check = server_checks.clock(DATE, NOW + ahead)

    assert check.level == level
    assert words in check.found


@pytest.mark.parametrize("date", [None, "", "yesterday", "Thu, 99 Foo 2027 00:00:00 GMT"])
def test_without_the_server_s_date_the_clock_is_not_known(date: str | None) -> None:
    assert server_checks.clock(date, NOW).level == "warn"
    assert server_checks.clock(DATE.replace("GMT", "-0000"), NOW).level == "ok"


# --- the spool --------------------------------------------------------------------------------------------


def spool(path: Path, world: World) -> list[Check]:
    return list(spool_checks.spool(str(path), URL, 2**30, world))


def test_a_spool_that_is_not_there_is_made_by_the_application(net: Net, tmp_path: Path) -> None:
    (check,) = spool(tmp_path / "a" / "b", net.world())

    assert (check.level, check.found) == (
        "ok",
        f"{tmp_path}/a/b does not exist yet: the application makes it",
    )
    assert list(tmp_path.iterdir()) == []


@contextmanager
def nobody() -> Iterator[None]:
    """Be one who may write to few places, also where root runs the tests."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_a_place_that_cannot_be_written_to_is_told(net: Net) -> None:
    with nobody():
        (there,) = spool(Path("/"), net.world())
        (missing,) = spool(Path("/none"), net.world())

    assert (there.level, there.found) == ("fail", "/ cannot be written to: Permission denied")
    assert (missing.level, missing.found) == ("fail", "/none does not exist, and / cannot be written to")


def test_a_file_in_its_place_is_told(net: Net, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")

    (file,) = spool(tmp_path / "file", net.world())
    (loop,) = spool(tmp_path / "loop", net.world())

    assert (file.level, file.found) == ("fail", f"{tmp_path}/file is a file, not a directory")
    assert (loop.level, loop.found) == (
        "fail",
        f"{tmp_path}/loop cannot be read: Too many levels of symbolic links",
    )


def test_a_network_file_system_is_told(net: Net, tmp_path: Path) -> None:
    (tmp_path / "mounts").write_text("server:/x / nfs4 rw 0 0\n")

    (check,) = spool(tmp_path, net.world(mounts=str(tmp_path / "mounts")))

    assert check.found == f"{tmp_path} is on a network file system (nfs4)"


def test_a_spool_is_looked_through_and_left_as_it_was(net: Net, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "host-1-00000000.db").touch()

    found = spool(tmp_path, net.world(free=lambda path: 10))

    assert levels(iter(found)) == [
        ("ok", "spool"),
        ("warn", "spool mode"),
        ("fail", "disk"),
        ("ok", "spool"),
        ("warn", "damaged"),
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["host-1-00000000.db"]


def test_the_real_disk_is_asked(tmp_path: Path) -> None:
    assert World().free(tmp_path) >= 0


def test_whose_it_is_and_who_may_look_is_told() -> None:
    assert levels(spool_checks.permissions(0o40700, 7, 7, "/x")) == [("ok", "spool mode")]
    found = list(spool_checks.permissions(0o40750, 7, 8, "/x"))
    assert levels(iter(found)) == [("warn", "spool mode"), ("warn", "spool owner")]
    assert found[0].found == "is 750: other users can look into it"
    assert found[1].found == "is user 7, and you are user 8"


@pytest.mark.parametrize(
    ("free", "used", "level"),
    [(2**31, 0, "ok"), (2**29, 0, "warn"), (2**29, 2**30, "ok"), (LITTLE_SPACE - 1, 2**30, "fail")],
)
def test_room_is_wanted_for_what_may_come(free: int, used: int, level: str) -> None:
    assert spool_checks.space(free, used, 2**30).level == level


def file(**facts: Any) -> FileFacts:
    return FileFacts(**{"path": Path("/x/host-1-00000000.db"), "base_url": URL, **facts})


def told(*files: FileFacts) -> Mapping[str, str]:
    return {check.name: f"{check.found}. {check.advice}" for check in spool_checks.stranded(files, URL, "/x")}


def test_what_is_left_behind_is_told() -> None:
    assert told(file(owner=7, pending=5)) == {"spool": "5 events pending, 1 living process. "}
    assert told(file(owner=7), file(pending=5))["left behind"] == (
        "5 events of processes that are gone. A living process takes them over within two minutes."
    )
    assert told(file(pending=1))["left behind"] == (
        "1 event of processes that are gone. Start the application, or deliver them: togai-shipper drain /x"
    )


def test_what_is_for_another_server_is_told() -> None:
    assert told(
        file(owner=7, pending=5, base_url="https://a.example"), file(base_url="https://b.example")
    ) == {
        "spool": "5 events pending, 1 living process. ",
        "stranded": (
            f"5 events for https://a.example. They are not sent to {URL}: start an application with that"
            " base_url, or drain them to it."
        ),
    }
    assert "1 event for an unknown server" in told(file(pending=1, base_url=""))["stranded"]


def test_dead_letters_and_files_that_cannot_be_used_are_told() -> None:
    found = told(
        file(dead={"rejected": 2}), file(state=DAMAGED, why="holds nothing"), file(state=ASIDE, why="damaged")
    )

    assert found["dead letters"] == "2. See why: togai-shipper spool ls --dead /x"
    assert found["damaged"] == "host-1-00000000.db: holds nothing. See: togai-shipper spool verify /x"
    assert found["set aside"] == "host-1-00000000.db: damaged. Look into it, then remove it."

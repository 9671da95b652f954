"""What the doctor finds of the server, and on the way to it."""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from doctored import CERTIFICATE, DATE, KEY, NOW, URL, Net, fails, levels

from togai_shipper.cli.doctor import server_checks, world
from togai_shipper.cli.doctor.world import ServerReply
from togai_shipper.testing import FakeTogai


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
        answer = world.ask(f"http://127.0.0.1:{server.server_port}/events", KEY)
        thread.join(10)

    assert answer.status == 302
    assert _Redirecting.paths == ["/events"]


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
    assert re.fullmatch("its certificate is refused: self.signed certificate", check.found)


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
    assert server_checks.reply(ServerReply(status)).level == level


@pytest.mark.parametrize(
    ("status", "level"),
    [(200, "ok"), (401, "fail"), (403, "warn"), (404, "warn"), (429, "warn"), (500, "warn")],
)
def test_what_togai_makes_of_the_key(status: int, level: str) -> None:
    assert server_checks.key_reply(ServerReply(status)).level == level


def test_no_answer_is_told(net: Net) -> None:
    (check,) = server_checks.answers(URL, None, net.world(ask=fails))

    assert (check.level, check.name) == ("fail", "server")
    assert check.found == "no answer: the server refuses the connection"


def test_the_stand_in_answers_as_togai_does(net: Net) -> None:
    with FakeTogai(KEY) as togai:
        without, _ = server_checks.answers(togai.url, None, net.world(ask=world.ask))
        with_key, _ = server_checks.answers(togai.url, KEY, net.world(ask=world.ask))

    assert (without.level, without.name) == ("ok", "server")
    assert with_key.found in ("Togai accepts the key", "no event is found (404)")


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

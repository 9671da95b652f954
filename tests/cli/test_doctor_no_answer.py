"""Why there is no answer, or none of Togai's, as the doctor says it."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import BadStatusLine
from pathlib import Path

import pytest
from doctored import CERTIFICATE, DATE, KEY, Net

from togai_shipper.cli.doctor import server_checks, world
from togai_shipper.cli.doctor.check import Check
from togai_shipper.cli.doctor.no_answer import no_answer, untrusted
from togai_shipper.cli.doctor.world import ServerReply

CLOSED = "the server closes the connection without an answer"
UNKNOWN = "Name or service not known"
PAGE = b"<html><head><title>Log\nin here</title></head><body>secret</body></html>"


@contextmanager
def server(answer: bytes, *, tls: bool = False) -> Iterator[int]:
    """Somebody who reads what comes first, answers with these bytes, and closes: each time."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection, suppress(OSError):
                    connection.settimeout(5)
                    if not tls:
                        connection.recv(65_536)
                        connection.sendall(answer)
                        continue
                    with context.wrap_socket(connection, server_side=True) as talking:
                        talking.recv(65_536)
                        talking.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def http(status: str, body: bytes = b"", *fields: str) -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields, "", ""]
    return "\r\n".join(head).encode() + body


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def first(url: str, key: str | None = None) -> Check:
    net = Net().world(ask=world.ask, lacking=world.lacking, proxy_of=world.proxy_of)
    return next(server_checks.answers(url, key, net))


# --- no answer --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("refusal", "found", "advice"),
    [
        ("403 Forbidden", "does not let the request through: 403 Forbidden", "NO_PROXY"),
        ("407 Who are you?", "does not let the request through: 407 Who are you?", "USER:PASSWORD@"),
    ],
)
def test_a_proxy_that_refuses_is_told_in_its_own_words(
    refusal: str, found: str, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server(http(refusal)) as port:
        monkeypatch.setenv("https_proxy", f"http://user:pass-word@127.0.0.1:{port}")
        check = first("https://togai.invalid")

    assert (check.level, check.name, check.found) == ("fail", "proxy", found)
    assert advice in check.advice
    assert "pass-word" not in check.found


def test_a_proxy_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with server(b"") as port:
        pass
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")

    assert first("https://togai.invalid").found == "no answer: the proxy refuses the connection"


def test_a_server_that_is_not_there_is_told() -> None:
    with server(b"") as port:
        pass

    assert first(f"http://127.0.0.1:{port}").found == "no answer: the server refuses the connection"


def test_a_certificate_that_is_not_trusted_is_told() -> None:
    with server(http("200 OK", b"{}"), tls=True) as port:
        check = first(f"https://localhost:{port}")

    assert (check.name, check.found.replace("-", " ")) == (
        "TLS",
        "its certificate is refused: self signed certificate",
    )
    assert "REQUESTS_CA_BUNDLE" in check.advice


def test_the_certificates_of_the_application_are_trusted_here_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
    with server(http("404 Not Found", b'{"message": "no such endpoint"}'), tls=True) as port:
        check = first(f"https://localhost:{port}")

    assert (check.level, check.found) == ("ok", "answers (with 404, to a request without the key)")


def test_a_bundle_that_is_not_there_is_told_and_nothing_is_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    net = Net()
    lacking = net.world(lacking=world.lacking)

    (check,) = server_checks.answers("https://togai.invalid", None, lacking)
    *_, reached = server_checks.reach("https://togai.invalid", lacking)
    for end in net.ends:
        end.close()

    assert check.found == reached.found == f"no such CA bundle: {tmp_path / 'ca.pem'}"
    assert net.asked == []


def test_plain_http_on_the_other_side_of_tls_is_told() -> None:
    with server(http("400 Bad Request")) as port:
        check = first(f"https://127.0.0.1:{port}")

    assert (check.name, check.found) == ("TLS", "what answers speaks no TLS; plain http, perhaps")


def test_tls_on_the_other_side_of_plain_http_is_told() -> None:
    with server(b"", tls=True) as port:
        check = first(f"http://127.0.0.1:{port}")

    assert check.level == "fail"
    assert "https://" in check.advice


@pytest.mark.parametrize(
    "page",
    [
        b"<html><title>400 The plain HTTP request was sent to HTTPS port</title></html>",
        b"Client sent an HTTP request to an HTTPS server.\n",
    ],
)
def test_a_server_that_says_that_it_speaks_tls_is_believed(page: bytes) -> None:
    with server(http("400 Bad Request", page)) as port:
        check = first(f"http://127.0.0.1:{port}")

    assert check.found == "it speaks TLS on this port, and base_url says http://"


@pytest.mark.parametrize(
    ("error", "scheme", "found"),
    [
        (
            socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
            "https",
            "Name or service not known",
        ),
        (TimeoutError("timed out"), "https", "no answer in time, from the server"),
        (
            ConnectionResetError(104, "Connection reset by peer"),
            "http",
            "closes the connection without an answer",
        ),
        (
            ConnectionResetError(104, "Connection reset by peer"),
            "https",
            "closes the connection without an answer",
        ),
        (BadStatusLine("\x15\x03\x01\x00"), "http", "it speaks TLS on this port"),
        (BadStatusLine("SSH-2.0"), "http", "no answer: SSH-2.0"),
        (ValueError(), "http", "no answer: ValueError"),
        (ssl.SSLError("handshake failure"), "https", "TLS with it fails: "),
    ],
)
def test_each_cause_is_told(error: Exception, scheme: str, found: str) -> None:
    check = no_answer(error, scheme, None)

    assert check.level == "fail"
    assert found in check.found
    assert check.advice


def test_a_password_of_the_proxy_is_not_shown() -> None:
    error = OSError("cannot reach http://user:pass-word@proxy:3128")

    assert "pass-word" not in no_answer(error, "https", "http://user:pass-word@proxy:3128").found


def test_what_openssl_calls_a_wrong_version_is_told_as_what_it_is() -> None:
    error = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number")
    error.reason = "WRONG_VERSION_NUMBER"

    assert untrusted(error).found == "what answers speaks no TLS; plain http, perhaps"


# --- an answer of somebody else ---------------------------------------------------------------------------


def test_a_page_is_never_well_whatever_its_status() -> None:
    with server(http("200 OK", PAGE, f"Date: {DATE}")) as port:
        check, with_key = first(f"http://127.0.0.1:{port}"), first(f"http://127.0.0.1:{port}", KEY)

    assert check.level == "warn"
    assert check.found == "answers 200 with a page that is not Togai's: Log in here"
    assert "togai-shipper doctor --check-key" in check.advice
    assert (with_key.level, with_key.name, with_key.found) == ("fail", "key check", check.found)


def test_a_page_without_a_title_is_told_by_how_it_begins() -> None:
    with server(http("403 Forbidden", b"<p>Blocked by <b>policy</b>" + b"x" * 200_000)) as port:
        check = first(f"http://127.0.0.1:{port}")

    assert check.found.startswith("answers 403 with a page that is not Togai's: Blocked by policy xxx")
    assert len(check.found) < 160


def test_a_redirection_is_told_with_where_it_leads_and_without_its_query() -> None:
    with server(http("302 Found", b"", "Location: https://login.example/?token=secret")) as port:
        check = first(f"http://127.0.0.1:{port}")

    assert (check.level, check.found) == ("fail", "answers 302: go to https://login.example/")
    assert server_checks.reply(ServerReply(302)).found == "answers 302: go to nowhere"


def test_a_gateway_that_does_not_reach_togai_is_a_warning() -> None:
    with server(http("502 Bad Gateway", PAGE)) as port:
        check = first(f"http://127.0.0.1:{port}")

    assert (check.level, check.found) == ("warn", "answers 502 with a page that is not Togai's: Log in here")
    assert "Events wait" in check.advice


def test_a_proxy_that_wants_a_password_is_told() -> None:
    check = server_checks.reply(ServerReply(407, is_json=False, says="Proxy Authentication Required"))

    assert (check.name, check.found) == (
        "proxy",
        "does not let the request through: 407: Proxy Authentication Required",
    )


def test_what_togai_says_to_the_key_is_shown() -> None:
    with server(http("401 Unauthorized", b'{"message": "credential is not valid"}')) as port:
        check = first(f"http://127.0.0.1:{port}", KEY)

    assert check.found == "Togai refuses the key (401): credential is not valid"

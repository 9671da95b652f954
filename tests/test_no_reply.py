"""Why there is no reply: in whole sentences, by who is at fault."""

from __future__ import annotations

import http.client
import socket
import ssl

import pytest
import requests
import urllib3

from togai_shipper._engine.guarded_head import InTheClear
from togai_shipper._engine.no_reply import MAX_WHY, why

POOL = urllib3.HTTPSConnectionPool("api.togai.com", 443)


def wrapped(cause: BaseException) -> requests.exceptions.ConnectionError:
    """As requests hands on what urllib3 gave up for."""
    return requests.exceptions.ConnectionError(urllib3.exceptions.MaxRetryError(POOL, "/ingestBatch", cause))  # type: ignore[arg-type]


def new_connection(cause: OSError) -> urllib3.exceptions.NewConnectionError:
    """As urllib3 wraps what the system says of a connection."""
    error = urllib3.exceptions.NewConnectionError(POOL, f"Failed to establish a new connection: {cause}")  # type: ignore[arg-type]
    error.__cause__ = cause
    return error


def proxied(cause: BaseException) -> requests.exceptions.ProxyError:
    within = urllib3.exceptions.ProxyError("Unable to connect to proxy", cause)  # type: ignore[arg-type]
    return requests.exceptions.ProxyError(urllib3.exceptions.MaxRetryError(POOL, "/ingestBatch", within))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            wrapped(new_connection(ConnectionRefusedError(111, "Connection refused"))),
            "[Errno 111] Connection refused",
        ),
        (
            wrapped(new_connection(socket.gaierror(-2, "Name or service not known"))),
            "[Errno -2] Name or service not known",
        ),
        (
            wrapped(
                urllib3.exceptions.NewConnectionError(POOL, "Failed to establish a new connection: no route")
            ),
            "no route",
        ),  # type: ignore[arg-type]
        (
            proxied(OSError("Tunnel connection failed: 403 Forbidden")),
            "the proxy: Tunnel connection failed: 403 Forbidden",
        ),
        (
            proxied(new_connection(ConnectionRefusedError(111, "Connection refused"))),
            "the proxy: [Errno 111] Connection refused",
        ),
        (
            proxied(InTheClear("togai.example")),
            "togai.example would get the key unencrypted; use https, or allow_insecure=True",
        ),
        (
            requests.exceptions.SSLError(
                ssl.SSLCertVerificationError(
                    1,
                    "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate"
                    " (_ssl.c:1006)",
                )
            ),
            "certificate verify failed: self-signed certificate",
        ),
        (
            requests.exceptions.ReadTimeout(
                urllib3.exceptions.ReadTimeoutError(POOL, "/", "Read timed out. (read timeout=5)")
            ),
            "Read timed out. (read timeout=5)",
        ),
        (
            requests.exceptions.ConnectionError(
                urllib3.exceptions.ProtocolError(
                    "Connection aborted.", http.client.RemoteDisconnected("Remote end closed connection")
                )
            ),
            "Remote end closed connection",
        ),
        (
            wrapped(http.client.RemoteDisconnected("Remote end closed connection without response")),
            "Remote end closed connection without response",
        ),
        (
            wrapped(http.client.BadStatusLine("SSH-2.0-OpenSSH_9.2")),
            "what came is not HTTP: SSH-2.0-OpenSSH_9.2",
        ),
        (requests.exceptions.ConnectionError(), "ConnectionError"),
        (KeyError("tenant"), "KeyError: 'tenant'"),
    ],
    ids=str,
)
def test_it_is_said_whole_and_once(error: BaseException, said: str) -> None:
    assert why(error) == said


def test_it_is_said_without_secrets_and_without_end() -> None:
    said = why(OSError(f"user:password@host {'x' * 1000}"), lambda text: text.replace("password", "…"))

    assert said.startswith("user:…@host xxx")
    assert len(said) == MAX_WHY

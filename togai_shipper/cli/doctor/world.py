"""All that the doctor touches: the network, a clock, a disk, what is installed. A test gives its own."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import attrs
import requests
from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_environ_proxies, select_proxy

from togai_shipper._option_values import is_loopback
from togai_shipper.spool.filesystems import MOUNTS

TIMEOUT = 10.0  # seconds for each step


@attrs.frozen
class ServerReply:
    """What the doctor reads of a reply."""

    status: int
    date: str | None


def addresses(host: str, port: int) -> list[str]:
    """Return the addresses of a host. Raises ``OSError``."""
    return list(
        dict.fromkeys(str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    )


def connect(host: str, port: int) -> socket.socket:
    """Return a connection. Raises ``OSError``."""
    return socket.create_connection((host, port), TIMEOUT)


def handshake(connection: socket.socket, host: str) -> Mapping[str, Any]:
    """Return the server's certificate if we trust it, as requests would. Raises ``OSError``."""
    named = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    trusted = named or str(DEFAULT_CA_BUNDLE_PATH)
    is_many = Path(trusted).is_dir()
    context = ssl.create_default_context(
        cafile=None if is_many else trusted, capath=trusted if is_many else None
    )
    with context.wrap_socket(connection, server_hostname=host) as secured:
        return secured.getpeercert() or {}


def ask(method: str, url: str, key: str | None) -> ServerReply:
    """Make one request, with the key if there is one, never with ``~/.netrc``. Raises ``OSError``."""

    def sign(request: requests.PreparedRequest) -> requests.PreparedRequest:
        if key:
            request.headers["Authorization"] = f"Bearer {key}"
        return request

    with requests.Session() as session:
        session.trust_env = not is_loopback(url)  # as in the application's own session
        found = session.request(method, url, auth=sign, timeout=TIMEOUT, allow_redirects=False, stream=True)
        found.close()
        return ServerReply(found.status_code, found.headers.get("Date"))


def proxy_of(url: str) -> str | None:
    """Return the proxy that the environment names for this URL."""
    return None if is_loopback(url) else select_proxy(url, get_environ_proxies(url))


def installed(name: str) -> str | None:
    """Return the version of a package; ``None`` where there is none, or it does not say which."""
    try:
        return version(name)
    except (PackageNotFoundError, KeyError, ValueError, OSError):  # of what is installed, some is damaged
        return None


@attrs.frozen
class World:
    """All that the doctor touches."""

    addresses: Callable[[str, int], list[str]] = addresses
    connect: Callable[[str, int], socket.socket] = connect
    handshake: Callable[[socket.socket, str], Mapping[str, Any]] = handshake
    ask: Callable[[str, str, str | None], ServerReply] = ask
    proxy_of: Callable[[str], str | None] = proxy_of
    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    pause: Callable[[float], object] = time.sleep
    free: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free
    mounts: str = MOUNTS
    installed: Callable[[str], str | None] = installed
    patience: float = 30.0  # seconds for each part of the checks, whatever its steps take

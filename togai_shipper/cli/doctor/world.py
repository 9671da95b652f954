"""All that the doctor touches: the network, a clock, a disk, what is installed. A test gives its own."""

from __future__ import annotations

import os
import re
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

from togai_shipper._config import Config
from togai_shipper._engine.certificates import bundle_of, missing, trusted
from togai_shipper._engine.verdict import json_object
from togai_shipper._option_values import is_loopback
from togai_shipper._printable import printable
from togai_shipper._secret import hidden
from togai_shipper.cli.togai_lists import TogaiLists
from togai_shipper.spool.filesystems import MOUNTS

TIMEOUT = 10.0  # seconds for each step
READ_MOST = 65_536  # bytes of a reply that are read
SAYS_MOST = 100  # characters of what it says
_TITLE = re.compile(r"<title[^>]*>([^<]*)", re.IGNORECASE)
_MARK = re.compile(r"<[^>]*>?")


@attrs.frozen
class ServerReply:
    """What the doctor reads of a reply.

    Attributes:
        status: of HTTP.
        date: when it was sent, by the server's clock.
        is_json: its body is a JSON object, as all of Togai's are.
        says: its message, or the title of its page, in a line.
        location: where a redirection leads.

    """

    status: int
    date: str | None = None
    is_json: bool = True
    says: str = ""
    location: str = ""

    @property
    def words(self) -> str:
        """What it says, to be put behind something else."""
        return self.says and f": {self.says}"


def addresses(host: str, port: int) -> list[str]:
    """Return the addresses of a host. Raises ``OSError``."""
    return list(
        dict.fromkeys(str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    )


def connect(host: str, port: int) -> socket.socket:
    """Return a connection. Raises ``OSError``."""
    return socket.create_connection((host, port), TIMEOUT)


def handshake(connection: socket.socket, host: str) -> Mapping[str, Any]:
    """Return the server's certificate if we trust it, as the application does. Raises ``OSError``."""
    bundle = _bundle() or str(DEFAULT_CA_BUNDLE_PATH)
    is_many = Path(bundle).is_dir()
    context = ssl.create_default_context(
        cafile=None if is_many else bundle, capath=bundle if is_many else None
    )
    with context.wrap_socket(connection, server_hostname=host) as secured:
        return secured.getpeercert() or {}


def _bundle() -> str | None:
    return bundle_of(hidden(os.environ))


def lacking() -> str:
    """Say which file of certificates is named and not there; empty where none is lacking."""
    return missing(trusted(True, _bundle()), None)  # noqa: FBT003  requests' own: verify=True


def ask(url: str, key: str | None) -> ServerReply:
    """Make one GET, with the key if there is one, never with ``~/.netrc``. Raises ``OSError`` and others."""

    def sign(request: requests.PreparedRequest) -> requests.PreparedRequest:
        if key:
            request.headers["Authorization"] = f"Bearer {key}"
        return request

    with requests.Session() as session:
        session.trust_env = not is_loopback(url)  # as in the application's own session
        with session.get(
            url,
            auth=sign,
            timeout=TIMEOUT,
            verify=trusted(True, _bundle()),  # noqa: FBT003  requests' own: verify=True
            allow_redirects=False,
            stream=True,
        ) as found:
            body = found.raw.read(READ_MOST, decode_content=True)
            answer = json_object(body)
            return ServerReply(
                found.status_code,
                found.headers.get("Date"),
                is_json=answer is not None,
                says=_line(str(answer.get("message", "")) if answer is not None else _title(body)),
                location=_line(_without_query(found.headers.get("Location", ""))),
            )


def _title(page: bytes) -> str:
    """Return the title of a page, or how it begins; what HTML has of marks is left out."""
    text = page.decode(errors="replace")
    titled = _TITLE.search(text)
    return _MARK.sub(" ", titled[1] if titled else text[:SAYS_MOST])


def _without_query(url: str) -> str:
    return url.partition("?")[0]  # of a login page it may have a token


def _line(text: str) -> str:
    return printable(" ".join(text.split()))[:SAYS_MOST]


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
    lacking: Callable[[], str] = lacking
    ask: Callable[[str, str | None], ServerReply] = ask
    lists: Callable[[Config], TogaiLists] = TogaiLists
    proxy_of: Callable[[str], str | None] = proxy_of
    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    pause: Callable[[float], object] = time.sleep
    free: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free
    mounts: str = MOUNTS
    installed: Callable[[str], str | None] = installed
    patience: float = 30.0  # seconds for each part of the checks, whatever its steps take

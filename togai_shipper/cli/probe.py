"""How the doctor touches the world: the network, and a directory. What is found is judged in ``checks``."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs
import requests
from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_environ_proxies, select_proxy

from togai_shipper._config import is_loopback
from togai_shipper.spool.folder import MOUNTS, Folder, filesystem_of, is_networked

from . import checks
from .checks import Check
from .inventory import take_stock

with suppress(ImportError):  # Windows has none, and no spool is looked at there
    import fcntl

TIMEOUT = 10.0  # seconds for each step


@attrs.frozen
class Answer:
    """What came back."""

    status: int
    date: str | None


def addresses(host: str, port: int) -> list[str]:
    """Where a host is; raises ``OSError``."""
    return list(
        dict.fromkeys(str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    )


def connect(host: str, port: int) -> socket.socket:
    """A connection to it; raises ``OSError``."""
    return socket.create_connection((host, port), TIMEOUT)


def handshake(connection: socket.socket, host: str) -> Mapping[str, Any]:
    """The certificate that it shows, where we trust it as requests would; raises ``OSError``."""
    named = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    trusted = named or str(DEFAULT_CA_BUNDLE_PATH)
    is_many = Path(trusted).is_dir()
    context = ssl.create_default_context(
        cafile=None if is_many else trusted, capath=trusted if is_many else None
    )
    with context.wrap_socket(connection, server_hostname=host) as secured:
        return secured.getpeercert() or {}


def ask(method: str, url: str, key: str | None) -> Answer:
    """One request, with the key if it is given, and with nothing of ``~/.netrc``; raises ``OSError``."""

    def sign(request: requests.PreparedRequest) -> requests.PreparedRequest:
        if key:
            request.headers["Authorization"] = f"Bearer {key}"
        return request

    with requests.Session() as session:
        session.trust_env = not is_loopback(url)  # as the application's own session
        found = session.request(method, url, auth=sign, timeout=TIMEOUT, allow_redirects=False, stream=True)
        found.close()
        return Answer(found.status_code, found.headers.get("Date"))


def proxy_of(url: str) -> str | None:
    """The proxy that the environment has for it."""
    return None if is_loopback(url) else select_proxy(url, get_environ_proxies(url))


@attrs.frozen
class World:
    """All that the doctor touches."""

    addresses: Callable[[str, int], list[str]] = addresses
    connect: Callable[[str, int], socket.socket] = connect
    handshake: Callable[[socket.socket, str], Mapping[str, Any]] = handshake
    ask: Callable[[str, str, str | None], Answer] = ask
    proxy_of: Callable[[str], str | None] = proxy_of
    now: Callable[[], float] = time.time
    free: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free
    mounts: str = MOUNTS


# --- the network ------------------------------------------------------------------------------------------


def reach(url: str, world: World) -> Iterator[Check]:
    """Whether the server is there, up to TLS, without a request; ends at the first thing that is wrong."""
    proxy = world.proxy_of(url)
    parts = urlsplit(proxy or url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    if proxy:
        yield Check("ok", "proxy", f"{host}:{port}, from the environment; what follows is about it")
    try:
        found = world.addresses(host, port)
    except OSError as error:
        advice = "Is the name right, and has this machine a name server that knows it?"
        yield Check("fail", "DNS", f"{host}: {error.strerror or error}", advice)
        return
    yield Check("ok", "DNS", f"{host} is {', '.join(found[:3])}{', ...' if len(found) > 3 else ''}")  # noqa: PLR2004  of many
    try:
        connection = world.connect(host, port)
    except OSError as error:
        advice = "Does a firewall let this machine out to it? Is it running?"
        yield Check("fail", "TCP", f"{host}:{port}: {error.strerror or error}", advice)
        return
    with connection:
        yield Check("ok", "TCP", f"{host}:{port} takes connections")
        if proxy:  # which stands between us and the server's certificate
            return
        if parts.scheme == "http":
            yield Check("ok", "TLS", "none: plain http")
            return
        try:
            yield checks.certificate(world.handshake(connection, host), world.now())
        except OSError as error:
            yield checks.untrusted(error)


def answers(url: str, key: str | None, world: World) -> Iterator[Check]:
    """What it says to one request: HEAD / without the key, or with it GET /events; neither is billed."""
    method, path = ("GET", "/events?pageSize=1") if key else ("HEAD", "/")
    try:
        answer = world.ask(method, url + path, key)
    except OSError as error:
        advice = "Try again; if it stays so, ask who runs that server."
        is_wordy = isinstance(error, requests.RequestException)
        yield Check("fail", "server", f"no answer: {type(error).__name__ if is_wordy else error}", advice)
        return
    yield checks.key_reply(answer.status) if key else checks.reply(answer.status)
    yield checks.clock(answer.date, world.now())


# --- the spool --------------------------------------------------------------------------------------------


def spool(directory: str, base_url: str, bound: int, world: World) -> Iterator[Check]:
    """Whether the directory can be a spool, and what is in it; ends at the first thing that makes it none."""
    path = Path(directory)
    try:
        status = path.stat()
        os.listdir(path)  # noqa: PTH208  asks for exactly what is needed
    except FileNotFoundError:
        yield _not_there(path)
        return
    except NotADirectoryError:
        yield Check(
            "fail", "spool", f"{path} is a file, not a directory", "Remove it, or name another place."
        )
        return
    except OSError as error:
        yield Check("fail", "spool", f"{path} cannot be read: {error.strerror}", _WHO)
        return
    kind = filesystem_of(path, world.mounts)
    if is_networked(kind):
        advice = "Locks and syncs cannot be trusted there, and it is refused: name a place on a local disk."
        yield Check("fail", "spool", f"{path} is on a network file system ({kind})", advice)
        return
    try:
        _try(path)
    except OSError as error:
        yield Check("fail", "spool", f"{path} cannot be written to: {error.strerror}", _WHO)
        return
    yield Check("ok", "spool", f"{path} can be written to{kind and f' ({kind})'}")
    yield from checks.permissions(status.st_mode, status.st_uid, os.geteuid(), directory)
    files = take_stock(Folder(directory))
    yield checks.space(world.free(path), sum(facts.disk_bytes for facts in files), bound)
    yield from checks.stranded(files, base_url, directory)


_WHO = "Does it belong to the user that the application runs as?"


def _not_there(path: Path) -> Check:
    above = next(each for each in path.absolute().parents if each.exists())
    if os.access(above, os.W_OK | os.X_OK, effective_ids=True):
        return Check("ok", "spool", f"{path} is not there yet: the application makes it")
    return Check("fail", "spool", f"{path} is not there, and {above} cannot be written to", _WHO)


def _try(path: Path) -> None:
    """Write a file, sync it and lock it, as a spool does; raises ``OSError``."""
    with tempfile.TemporaryFile(dir=path) as file:
        file.write(bytes(4096))
        file.flush()
        os.fsync(file.fileno())
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

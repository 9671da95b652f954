"""The doctor tells what it finds, whatever that is: it never ends in a traceback, and always ends."""

from __future__ import annotations

import json
import os
import re
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from doctored import DATE, Net, run
from hypothesis import given, settings
from hypothesis import strategies as st
from spools import Spool

from togai_shipper.cli.doctor import world
from togai_shipper.cli.doctor.world import ServerReply

NAMES = st.characters(codec="utf-8", exclude_characters="\0")
#: What an environment can hold: any bytes, of which Python makes text with lone surrogates.
BYTES = st.binary(max_size=30).map(lambda raw: os.fsdecode(raw.replace(b"\0", b"")))
TEXTS = st.text(NAMES, max_size=30) | BYTES
NOT_NAMES = ("a..b", "x" * 64 + ".example", "[::1", "xn--", "%00", "", ".", "-", "\u202e", "*.example", "a:b")
HOSTS = st.sampled_from(
    ("localhost", "[::1]", "[fe80::1%25lo]", "bücher.example", "127.1", "999.999.999.999", *NOT_NAMES)
)
URLS = st.builds(
    "{}{}{}{}{}".format,
    st.sampled_from(
        ["http://", "https://", "socks5://", "socks5h://", "ftp://", "//", "", "HTTP:", "http:///"]
    ),
    st.sampled_from(["", "user:hunter2@", ":@", "hun/ter2@", "@@", "u:p@ss@"]),
    HOSTS | TEXTS,
    st.sampled_from(["", ":0", ":1", ":443", ":65535", ":65536", ":-1", ":x", ":", ":²", ":" + "9" * 5000]),
    st.sampled_from(["", "/", "/a b", "?q", "#f", "/\udcff", "//", "/%zz"]),
)
NUMBERS = st.sampled_from(
    ["0", "-1", "nan", "inf", "1e400", "9" * 400, "9" * 5000, "²", "1_0", " 1 ", "0x1", "1,2"]
)
PROXIES = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
OPTIONS = (
    "BASE_URL",
    "ALLOW_INSECURE",
    "MAX_SPOOL_BYTES",
    "TIMEOUT",
    "BACKOFF_MAX",
    "BACKOFF_INITIAL",
    "RATE_LIMIT",
)
ODD = ("TOGAI_É", "TOGAI_", "togai_spool", "Togai_Api_Key", "TOGAI_\udcff", "TOGAI_\x1b[2J", "TOGAI_ON_ERROR")
ENVIRONMENTS = st.fixed_dictionaries(
    {},
    optional={
        "TOGAI_API_KEY": TEXTS,
        **{f"TOGAI_{name}": TEXTS | URLS | NUMBERS for name in OPTIONS},
        **dict.fromkeys(ODD, TEXTS),
        **dict.fromkeys(PROXIES, URLS | TEXTS),
        **dict.fromkeys(("NO_PROXY", "no_proxy"), URLS | HOSTS | TEXTS | st.just("127.0.0.1/99,*")),
        **dict.fromkeys(("COLUMNS", "LINES"), NUMBERS | TEXTS),
        **dict.fromkeys(("TERM", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TZ"), TEXTS),
    },
)


def resolved(host: str, _port: int) -> list[str]:
    """Resolve no name, but refuse what cannot be one as the resolver does."""
    host.encode("idna")
    return ["192.0.2.1"]


def ended(result: Any) -> str:
    """What is told, in lines that are printable."""
    assert result.exit_code in (0, 1), result.output
    assert not result.exception or isinstance(result.exception, SystemExit)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", result.output)  # colours are the doctor's own
    assert all(line.isprintable() for line in plain.split("\n"))
    return str(result.output)


def told(result: Any) -> str:
    """What is told where all that was found could be judged."""
    text = ended(result)
    assert "cannot be checked" not in text
    return text


@settings(deadline=None)
@given(ENVIRONMENTS, st.none() | URLS | TEXTS, st.sampled_from(((), ("--check-key",))))
def test_no_environment_and_no_url_is_too_odd(
    environ: dict[str, str], url: str | None, more: tuple[str, ...]
) -> None:
    net = Net()
    options = more if url is None else ("--base-url", url, *more)
    try:
        told(run(net.world(addresses=resolved, proxy_of=world.proxy_of), *options, **environ))
    finally:
        for end in net.ends:
            end.close()


@pytest.mark.parametrize(
    "proxy", ["http://user:hun/ter2@x:1", "http://[hunter2", "http://u:hunter2@:1", "x:hunter2"]
)
def test_a_proxy_that_is_no_url_is_told_without_what_it_hides(net: Net, proxy: str) -> None:
    odd = net.world(proxy_of=world.proxy_of)

    text = told(run(odd, http_proxy=None, https_proxy=proxy, no_proxy=None, HTTPS_PROXY=None, NO_PROXY=None))

    assert "fail  proxy        the environment names one that is no URL\n" in text
    assert "ter2" not in text
    assert net.asked == []


def test_a_proxy_needs_no_scheme(net: Net) -> None:
    found = told(run(net.world(proxy_of=lambda _: "proxy.example:3128")))

    assert "ok    proxy        proxy.example:3128, from the environment" in found


ERRORS = st.sampled_from(
    (OSError, UnicodeError, ValueError, KeyError, RecursionError, MemoryError, TypeError)
)
PLACES = ("addresses", "connect", "handshake", "ask", "proxy_of", "now", "free")


@given(st.sampled_from(PLACES), ERRORS)
def test_whatever_raises_is_told(place: str, error: type[Exception]) -> None:
    def fails(*_: object) -> Any:
        raise error("refused" if issubclass(error, (OSError, UnicodeError)) else "hunter2")

    net = Net()
    result = run(net.world(**{place: fails}), "--spool", "/")
    for end in net.ends:
        end.close()

    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert "fail  " in result.stdout
    assert "hunter2" not in result.output


DATES = st.sampled_from(
    (
        *("", "x", "\x1b[2J", "01 Jan 99999 00:00 GMT", "Thu, 01 Jan 1970 00:00:00 -0000"),
        *("Mon, 01 Jan 0001 00:00:00 +2359", "Fri, 31 Dec 9999 23:59:59 -2359"),
        *("Mon, 99 Jan 2026 00:00:00 GMT", "Mon, 01 Jan 2026 00:00:00 +999999"),
    )
)


@given(
    st.integers(-1, 1000),
    st.none() | DATES | st.text() | st.just(DATE),
    st.floats(-1e18, 1e18),
    st.dictionaries(st.just("notAfter"), DATES | st.text() | st.none()),
    st.integers(0, 10**400),
)
def test_no_reply_no_clock_and_no_certificate_is_too_odd(
    status: int, date: str | None, now: float, certificate: dict[str, Any], free: int
) -> None:
    net = Net(ServerReply(status, date))
    odd = net.world(handshake=lambda *_: certificate, now=lambda: now, free=lambda _: free)
    told(run(odd, "--spool", "/"))
    told(run(odd, "--check-key"))
    for end in net.ends:
        end.close()


def fifo(path: Path) -> None:
    os.mkfifo(path)


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(path.parent) + "/s")  # a name of its own may be too long
    path.with_name("s").rename(path)


def garbage(path: Path) -> None:
    path.write_bytes(b"\x1b]0;pwned\x07" * 1000)


def loop(path: Path) -> None:
    path.symlink_to(path)


def dangling(path: Path) -> None:
    path.symlink_to("nothing")


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def directory(path: Path) -> None:
    path.mkdir()


def closed(path: Path) -> None:
    path.mkdir(0)


@pytest.mark.parametrize("put", [fifo, a_socket, garbage, loop, dangling, device, directory, closed])
@pytest.mark.parametrize(
    "name", ["", "host-1-deadbeef.db", "host-1-deadbeef.lock", "a\x1b]0;\udcff-1-deadbeef.db"]
)
def test_no_file_in_the_place_of_the_spool_or_in_it_is_too_odd(
    net: Net, tmp_path: Path, put: Callable[[Path], None], name: str
) -> None:
    place = tmp_path / "spool"
    if name:
        place.mkdir(0o700)
    put(place / name)

    told(run(net.world(patience=1.0), "--spool", place))


def test_all_of_them_hide_no_event_that_waits(net: Net, spool: Spool) -> None:
    spool.path.chmod(0o700)
    claim = spool.file("a", "b")
    for number, put in enumerate((fifo, a_socket, garbage, loop, dangling, device, directory)):
        put(spool.path / f"host-{number}-deadbeef.db")

    assert "2 events pending" in told(run(net.world(), "--spool", spool.path))
    assert stat.S_ISREG(claim.path.lstat().st_mode)


def test_no_bound_is_too_large(net: Net, tmp_path: Path) -> None:
    found = told(run(net.world(), "--spool", tmp_path, TOGAI_MAX_SPOOL_BYTES="9" * 4000))

    assert "warn  disk         1.0 TB free" in found


@contextmanager
def hanging() -> Iterator[Callable[..., Any]]:
    """Give what does not return before the test is over."""
    over = threading.Event()

    def hang(*_: object) -> Any:
        over.wait(60)
        raise TimeoutError

    yield hang
    over.set()


@pytest.mark.parametrize(
    ("place", "part"),
    [
        ("addresses", "server"),
        ("connect", "server"),
        ("ask", "server"),
        ("free", "spool"),
        ("proxy_of", "server"),
    ],
)
def test_what_hangs_is_told_in_time_and_the_rest_is_looked_at(net: Net, place: str, part: str) -> None:
    with hanging() as hangs:
        result = run(net.world(patience=0.2, **{place: hangs}), "--spool", "/", "--json")
    found = json.loads(result.stdout)["checks"]

    assert result.exit_code == 1
    assert [check["name"] for check in found if check["found"].startswith("no end after 0 s")] == [part]
    assert "spool" in [check["name"] for check in found]

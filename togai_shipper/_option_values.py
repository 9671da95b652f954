"""What the value of an option must be, and how the environment's text becomes one.

A check returns the value normalised, or raises ``ValueError`` saying what it must be.
"""

from __future__ import annotations

import ipaddress
import os
import string
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from ._process.limits import why_no_spool
from ._secret import Secret
from .exceptions import ConfigurationError

Check: TypeAlias = Callable[[Any], Any]

LONGEST = 2_000_000.0  # seconds of any option (23 days); a socket's timeout overflows at 2**31 milliseconds
MAX_SHOWN = 200  # characters of a number or a URL in a message
MAX_WORD = 16  # characters of any other value in a message
LONGEST_NAME = 100
MOST_LOOK_UPS = 60  # a minute: Togai has room for 600, of all processes of an account and its people
RELAY_SCHEMES = ("redis", "rediss", "unix")
_NAME = frozenset(string.ascii_letters + string.digits + ".-_")
_HOST = string.ascii_letters + string.digits + ".-"

# --- what a value must be ---------------------------------------------------------------------------------


def whole(low: int, high: int | None = None) -> Check:
    wanted = f"a whole number from {low}" + (f" to {high}" if high is not None else " up")

    def check(value: Any) -> int:
        if (
            isinstance(value, bool)
            or not isinstance(value, int)
            or value < low
            or (high is not None and value > high)
        ):
            raise ValueError(wanted)
        return value

    return check


def seconds(*, zero: bool) -> Check:
    wanted = f"a number of seconds, {'0 or more' if zero else 'more than 0'}, at most {LONGEST:.0f}"

    def check(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= LONGEST:
            raise ValueError(wanted)
        if value == 0 and not zero:
            raise ValueError(wanted)
        return float(value)

    return check


def timeout(value: Any) -> tuple[float, float]:
    try:
        connect, total = map(seconds(zero=False), value)
    except (TypeError, ValueError):
        raise ValueError(
            f"two numbers of seconds, connect and total, each more than 0, at most {LONGEST:.0f}"
        ) from None
    return connect, total


def rate(value: Any) -> float | None:
    if value is None:
        return None
    try:
        return float(seconds(zero=False)(value))
    except ValueError:
        raise ValueError("requests a second, more than 0, or None") from None


def look_ups(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= MOST_LOOK_UPS:
        raise ValueError(f"look-ups a minute, 0 to {MOST_LOOK_UPS}")
    return float(value)


def flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("True or False")  # noqa: TRY004  every check speaks by ValueError
    return value


def one_of(*words: str) -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in words:
            raise ValueError("one of " + ", ".join(map(repr, words)))
        return words[words.index(value)]  # not str(value), which for an enum is another text

    return check


def hook(value: Any) -> Any:
    if value is not None and not callable(value):
        raise ValueError("callable")
    return value


def directory(value: Any) -> str | None:
    if value is None:
        return None
    wanted = "the path of a directory, or None"
    try:
        path = os.fspath(value)
    except TypeError:
        raise ValueError(wanted) from None
    if not isinstance(path, str) or not path or "\0" in path:
        raise ValueError(wanted)
    if (why := why_no_spool()) is not None:
        raise ValueError(f"None here ({why})")
    try:
        return str(Path(path).absolute())  # a daemon may change its directory later
    except OSError:
        raise ValueError("an absolute path, for there is no current directory") from None


def relay(value: Any) -> Secret[Any] | None:
    """Return a relay's URL, hidden since it may have a password, or what makes a connection to it."""
    if value is None or callable(value):
        return None if value is None else Secret(value)
    wanted = (
        "a redis://, rediss:// or unix:// URL (/ @ : # ? of a password are %2F %40 %3A %23 %3F), or a"
        " function that returns a redis.Redis"
    )
    if not isinstance(value, str) or not value.isprintable() or " " in value:
        raise ValueError(wanted)
    try:
        parts = urlsplit(value)
        place = parts.path if parts.scheme == "unix" else parts.hostname
        well_formed = parts.scheme in RELAY_SCHEMES and place and parts.port != 0
    except ValueError:
        well_formed = False
    if not well_formed:
        raise ValueError(wanted)
    return Secret(value)


def name(value: Any) -> str:
    wanted = "1 to 100 letters, digits, dots, hyphens or underscores"
    if not isinstance(value, str) or not 1 <= len(value) <= LONGEST_NAME or not set(value) <= _NAME:
        raise ValueError(wanted)
    return value


def base_url(value: Any) -> str:
    wanted = "an http(s) URL without query, fragment or credentials"
    if not isinstance(value, str) or not value.isprintable() or any(mark in value for mark in " ?#@\\"):
        raise ValueError(wanted)
    try:
        parts = urlsplit(value)
        well_formed = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        well_formed = False
    if not well_formed:
        raise ValueError(wanted)
    return value.rstrip("/")


def is_loopback(url: str) -> bool:
    """Whether ``url`` leads to this very machine."""
    return is_loopback_host(urlsplit(url).hostname or "")


def is_loopback_host(host: str) -> bool:
    """Whether this name, or address, is that of this very machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_key(key: Secret[Any]) -> Secret[str]:
    """Return ``key`` if a header can carry it; else raise ``ConfigurationError``, without showing it."""
    if problem := _why_no_key(key.reveal()):
        raise ConfigurationError(f"api_key: {problem}")
    return Secret(str.__str__(key.reveal()))


def _why_no_key(key: object) -> str:
    if not isinstance(key, str):
        return f"must be a str, not {type(key).__name__}"
    if not key or not all("!" <= character <= "~" for character in key):
        why = "must be printable ASCII without blanks (a line end in the file it was read from?)"
        return f"{why}; this one has {len(key)} characters"
    return ""


def key(value: Any) -> Secret[Any]:
    return Secret(value) if callable(value) else check_key(Secret(value))


# --- what the environment's text becomes; what cannot be read stays text, which the check refuses ---------

_FLAGS = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}


def read_flag(text: str) -> bool | str:
    return _FLAGS.get(text.lower(), text)


def read_pair(text: str) -> tuple[float, ...]:
    return tuple(map(float, text.split(",")))


def read_rate(text: str) -> float | None:
    return None if text.lower() in ("none", "off") else float(text)


# --- how a wrong value is shown -----------------------------------------------------------------------------


def shown(name: str, value: Any, environment: Secret[Mapping[str, str]]) -> str:
    """Write a value for a message: nothing that is the key, or is so long that it may be."""
    if name in ("base_url", "relay"):
        return shown_url(value)
    if isinstance(value, str):
        is_key = value == environment.reveal().get("TOGAI_API_KEY")
        return f"a str of {len(value)} characters" if is_key or len(value) > MAX_WORD else repr(value)
    try:
        text = repr(value)
    except Exception:  # the caller's object; or an int too long to be written
        text = ""
    if text and isinstance(value, (int, float)):
        return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "…"
    return text if 0 < len(text) <= MAX_WORD else f"a {type(value).__name__}"


def shown_base_url(url: str) -> str:
    """Write a URL that can be used; not its host, if that may be a key."""
    host = urlsplit(url).hostname or ""
    return url if shown_host(host) == host else f"{urlsplit(url).scheme}://… ({shown_host(host)})"


def shown_host(host: str) -> str:
    """Write the host of a URL, which may be a key in the place of one if it has no dot."""
    is_told = "." in host or ":" in host or host.lower() == "localhost"
    return host if is_told else f"a host of {len(host)} characters without a dot"


def shown_url(value: Any) -> str:
    """Write of a malformed URL scheme and host alone; it may be a key, or have a password anywhere."""
    if not isinstance(value, str):
        return f"a {type(value).__name__}"
    scheme, mark, rest = value.partition("://")
    if not mark or scheme.lower() not in (
        *("http", "https", "ftp", "ws", "wss"),
        *RELAY_SCHEMES,
    ):
        return f"a str of {len(value)} characters without a scheme"
    host = "" if "@" in rest or "%40" in rest else rest[: len(rest) - len(rest.lstrip(_HOST))]
    text = f"{scheme}://{host if shown_host(host) == host else ''}"[:MAX_SHOWN]
    return repr(text if text == value else text + "…")

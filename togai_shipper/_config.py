"""Every option, checked once: from the caller's arguments, else from ``TOGAI_<OPTION>``, else its default."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict
from urllib.parse import urlsplit

import attrs

from ._process.limits import why_no_spool
from .exceptions import ConfigurationError, TogaiShipperError

if TYPE_CHECKING:
    import requests

    from ._event import Event


class Unset(Enum):
    """Stands for an option that the caller does not give, so that the environment is asked."""

    UNSET = "UNSET"

    def __repr__(self) -> str:
        return "UNSET"


UNSET = Unset.UNSET

ApiKey: TypeAlias = str | Callable[[], str]
Overflow: TypeAlias = Literal["drop_new", "block", "raise"]
SessionFactory: TypeAlias = "Callable[[], requests.Session]"
Check: TypeAlias = Callable[[Any], Any]


LONGEST = 2_000_000.0  # seconds of any option (23 days); a socket's timeout overflows at 2**31 milliseconds
MAX_SHOWN = 200  # characters of a value in a message


# --- what a value must be: each returns it normalised, or raises ValueError saying what it must be ----------


def _whole(low: int, high: int | None = None) -> Check:
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


def _seconds(*, zero: bool) -> Check:
    wanted = f"a number of seconds, {'0 or more' if zero else 'more than 0'}, at most {LONGEST:.0f}"

    def check(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= LONGEST:
            raise ValueError(wanted)
        if value == 0 and not zero:
            raise ValueError(wanted)
        return float(value)

    return check


def _timeout(value: Any) -> tuple[float, float]:
    try:
        connect, total = map(_seconds(zero=False), value)
    except (TypeError, ValueError):
        raise ValueError(
            f"two numbers of seconds, connect and total, each more than 0, at most {LONGEST:.0f}"
        ) from None
    return connect, total


def _rate(value: Any) -> float | None:
    if value is None:
        return None
    try:
        return float(_seconds(zero=False)(value))
    except ValueError:
        raise ValueError("requests a second, more than 0, or None") from None


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("True or False")  # noqa: TRY004  every check speaks by ValueError
    return value


def _one_of(*words: str) -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in words:
            raise ValueError("one of " + ", ".join(map(repr, words)))
        return words[words.index(value)]  # not str(value), which for an enum is another text

    return check


def _hook(value: Any) -> Any:
    if value is not None and not callable(value):
        raise ValueError("callable")
    return value


def _directory(value: Any) -> str | None:
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
    return str(Path(path).absolute())  # a daemon may change its directory later


def _base_url(value: Any) -> str:
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
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_key(key: Any) -> str:
    """A key that can go into a header; raises ``ConfigurationError`` without showing it."""
    if not isinstance(key, str):
        raise ConfigurationError(f"api_key: must be a str, not {type(key).__name__}")
    if not key or not all("!" <= character <= "~" for character in key):
        raise ConfigurationError(
            f"api_key: must be printable ASCII without blanks (a line end in the file it was read from?); "
            f"this one has {len(key)} characters"
        )
    return str.__str__(key)


def _key(value: Any) -> ApiKey:
    return value if callable(value) else check_key(value)


# --- what the environment's text becomes; what cannot be read stays text, which the check refuses ---------

_FLAGS = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}


def _read_flag(text: str) -> bool | str:
    return _FLAGS.get(text.lower(), text)


def _read_pair(text: str) -> tuple[float, ...]:
    return tuple(map(float, text.split(",")))


def _read_rate(text: str) -> float | None:
    return None if text.lower() in ("none", "off") else float(text)


def _option(default: Any, check: Check, read: Callable[[str], Any] | None) -> Any:
    return attrs.field(default=default, metadata={"check": check, "read": read})


_HOOK = {"check": _hook, "read": None}


class Options(TypedDict, total=False):
    """The options of ``Shipper`` as a dictionary, for type checkers: ``Shipper(**options)``.

    >>> from togai_shipper import Options, Shipper
    >>> options: Options = {"enabled": False, "close_timeout": 2}
    >>> Shipper(**options).close_timeout
    2.0

    """

    api_key: ApiKey | None
    base_url: str
    allow_insecure: bool
    batch_size: int
    max_batch_bytes: int
    flush_interval: float
    max_queue_size: int
    max_queue_bytes: int
    overflow: Overflow
    block_timeout: float
    max_in_flight: int
    timeout: tuple[float, float]
    backoff_initial: float
    backoff_max: float
    rate_limit: float | None
    close_timeout: float
    single_ingest_limit: int
    strict: bool
    enabled: bool
    on_error: Callable[[TogaiShipperError, tuple[Event, ...]], object] | None
    on_delivered: Callable[[tuple[Event, ...]], object] | None
    before_send: Callable[[Event], Event | None] | None
    handle_sigterm: bool
    session_factory: SessionFactory | None
    spool: str | os.PathLike[str] | None
    max_spool_bytes: int


@attrs.frozen(kw_only=True)
class Config:
    """The options of one shipper, all checked. ``Shipper`` documents them."""

    api_key: ApiKey | None = attrs.field(default=None, repr=False, metadata={"check": _key, "read": str})
    base_url: str = _option("https://api.togai.com", _base_url, str)
    allow_insecure: bool = _option(default=False, check=_flag, read=_read_flag)
    batch_size: int = _option(500, _whole(1, 500), int)
    max_batch_bytes: int = _option(900_000, _whole(1024), int)
    flush_interval: float = _option(5.0, _seconds(zero=True), float)
    max_queue_size: int = _option(100_000, _whole(1), int)
    max_queue_bytes: int = _option(64 * 1024 * 1024, _whole(1), int)
    overflow: str = _option("drop_new", _one_of("drop_new", "block", "raise"), str)
    block_timeout: float = _option(1.0, _seconds(zero=True), float)
    max_in_flight: int = _option(4, _whole(1, 64), int)
    timeout: tuple[float, float] = _option((5.0, 30.0), _timeout, _read_pair)
    backoff_initial: float = _option(0.5, _seconds(zero=False), float)
    backoff_max: float = _option(30.0, _seconds(zero=False), float)
    rate_limit: float | None = _option(45.0, _rate, _read_rate)
    close_timeout: float = _option(10.0, _seconds(zero=True), float)
    single_ingest_limit: int = _option(5, _whole(0), int)
    strict: bool = _option(default=False, check=_flag, read=_read_flag)
    enabled: bool = _option(default=True, check=_flag, read=_read_flag)
    handle_sigterm: bool = _option(default=False, check=_flag, read=_read_flag)
    on_error: Any = attrs.field(default=None, metadata=_HOOK)
    on_delivered: Any = attrs.field(default=None, metadata=_HOOK)
    before_send: Any = attrs.field(default=None, metadata=_HOOK)
    session_factory: Any = attrs.field(default=None, metadata=_HOOK)
    spool: str | None = _option(None, _directory, str)
    max_spool_bytes: int = _option(1024**3, _whole(1), int)

    @classmethod
    def load(cls, environ: Mapping[str, str], **arguments: Any) -> Config:
        """The options given, completed from ``environ``; raises ``ConfigurationError``."""
        values = {}
        for field in attrs.fields(cls):
            given = arguments.pop(field.name, UNSET)
            values[field.name] = _value(field, given, environ)
        if arguments:
            raise ConfigurationError(f"{next(iter(arguments))}: is no option")
        config = cls(**values)
        config.check_together()
        return config

    def check_together(self) -> None:
        """What no option can be checked for alone."""
        if self.enabled and self.api_key is None:
            raise ConfigurationError("api_key: missing; give api_key=, or set TOGAI_API_KEY")
        plain = urlsplit(self.base_url).scheme == "http"
        if plain and not self.allow_insecure and not is_loopback(self.base_url):
            raise ConfigurationError(
                f"base_url: {self.base_url!r} would send the key unencrypted; "
                "use https, or allow_insecure=True"
            )
        if self.backoff_max < self.backoff_initial:
            raise ConfigurationError(
                f"backoff_max: must be at least backoff_initial, is {self.backoff_max!r}"
            )


def _value(field: Any, given: Any, environ: Mapping[str, str]) -> Any:
    """One option's value, from its argument, its environment name, or its default."""
    source, read = field.name, field.metadata["read"]
    if given is UNSET or (given is None and field.name == "api_key"):
        text = environ.get("TOGAI_" + field.name.upper(), "") if read else ""
        if not text:
            return field.default
        source = "TOGAI_" + field.name.upper()
        try:
            given = read(text)
        except ValueError:
            given = text
    try:
        return field.metadata["check"](given)
    except ValueError as wanted:
        raise ConfigurationError(f"{source}: must be {wanted}, not {_shown(field.name, given)}") from None


def _shown(name: str, value: Any) -> str:
    """A value for a message: not too long, and of a URL nothing that may be a secret."""
    try:
        text = repr(value)
    except Exception:  # the caller's object; or an int too long to be written
        text = f"a {type(value).__name__}"
    if name == "base_url":
        text = re.sub(r"(?s)[?#].*", "?…", re.sub(r"(?s).*(?:@|%40)", "…@", text))
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "…"

"""Every option, checked once: from the caller's arguments, else from ``TOGAI_<OPTION>``, else its default.

``Config`` is where an option is written: its name, its default, and what its value must be. ``Shipper`` and
``Options`` show it to people and to type checkers; a test holds them, and the table of the documentation, to
``Config``.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import Enum
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict, TypeVar
from urllib.parse import urlsplit

import attrs

from . import _option_values as values
from ._option_values import Check
from ._secret import Secret, hidden
from .exceptions import ConfigurationError, TogaiShipperError
from .relay.entries import MOST_BYTES

if TYPE_CHECKING:
    import redis
    import requests

    from ._event import Event
    from ._outcome import Finding


RELAY_BACKOFF = 2.0  # seconds between attempts at most: it has no quota, and should not stand idle
RELAY_INTERVAL = 0.5  # seconds of flush_interval before a relay, where batches are filled anyway


class Unset(Enum):
    """Stands for an option that the caller does not give, so that the environment is asked."""

    UNSET = "UNSET"

    def __repr__(self) -> str:
        return "UNSET"


UNSET = Unset.UNSET

ApiKey: TypeAlias = str | Callable[[], str]
Overflow: TypeAlias = Literal["drop_new", "block", "raise"]
#: What is kept of the events that were delivered from a spool.
Keeps: TypeAlias = Literal["counts", "accounts", "ids"]
RelaySource: TypeAlias = "str | Callable[[], redis.Redis]"
SessionFactory: TypeAlias = "Callable[[], requests.Session]"
Function = TypeVar("Function", bound=Callable[..., object])


def unset_when_left_out(function: Function) -> Function:
    """Pass ``UNSET`` to ``function`` for each keyword that its caller leaves out, in place of the default.

    An argument wins over the environment even where it equals the default, so the two must be told apart.
    Editors, type checkers, ``help()`` and ``inspect.signature()`` see the defaults as they are written.
    """
    plain: Any = function
    plain.__signature__ = inspect.signature(function)
    plain.__kwdefaults__ = dict.fromkeys(plain.__kwdefaults__, UNSET)
    return function


def _option(default: Any, check: Check, read: Callable[[str], Any] | None) -> Any:
    return attrs.field(default=default, metadata={"check": check, "read": read})


_HOOK = {"check": values.hook, "read": None}


class Options(TypedDict, total=False):
    """Types the options of ``Shipper`` as a dictionary: ``Shipper(**options)``.

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
    verify: float
    on_unbilled: Callable[[Finding], object] | None
    spool: str | os.PathLike[str] | None
    max_spool_bytes: int
    journal: Keeps
    relay: RelaySource | None
    relay_name: str
    relay_replicas: int
    relay_hold: float
    max_relay_bytes: int


@attrs.frozen(kw_only=True)
class Config:
    """Holds the options of one shipper, all checked. ``Shipper`` documents them."""

    api_key: Secret[ApiKey] | None = attrs.field(
        default=None, repr=False, metadata={"check": values.key, "read": str}
    )
    base_url: str = _option("https://api.togai.com", values.base_url, str)
    allow_insecure: bool = _option(default=False, check=values.flag, read=values.read_flag)
    batch_size: int = _option(500, values.whole(1, 500), int)
    max_batch_bytes: int = _option(900_000, values.whole(1024), int)
    flush_interval: float = _option(5.0, values.seconds(zero=True), float)
    max_queue_size: int = _option(100_000, values.whole(1), int)
    max_queue_bytes: int = _option(64 * 1024**2, values.whole(1), int)
    overflow: str = _option("drop_new", values.one_of("drop_new", "block", "raise"), str)
    block_timeout: float = _option(1.0, values.seconds(zero=True), float)
    max_in_flight: int = _option(4, values.whole(1, 64), int)
    timeout: tuple[float, float] = _option((5.0, 30.0), values.timeout, values.read_pair)
    backoff_initial: float = _option(0.5, values.seconds(zero=False), float)
    backoff_max: float = _option(30.0, values.seconds(zero=False), float)
    rate_limit: float | None = _option(45.0, values.rate, values.read_rate)
    close_timeout: float = _option(10.0, values.seconds(zero=True), float)
    single_ingest_limit: int = _option(5, values.whole(0), int)
    strict: bool = _option(default=False, check=values.flag, read=values.read_flag)
    enabled: bool = _option(default=True, check=values.flag, read=values.read_flag)
    on_error: Any = attrs.field(default=None, metadata=_HOOK)
    on_delivered: Any = attrs.field(default=None, metadata=_HOOK)
    before_send: Any = attrs.field(default=None, metadata=_HOOK)
    handle_sigterm: bool = _option(default=False, check=values.flag, read=values.read_flag)
    session_factory: Any = attrs.field(default=None, repr=False, metadata=_HOOK)
    verify: float = _option(0.1, values.look_ups, float)
    on_unbilled: Any = attrs.field(default=None, metadata=_HOOK)
    spool: str | None = _option(None, values.directory, str)
    max_spool_bytes: int = _option(1024**3, values.whole(1), int)
    journal: str = _option("counts", values.one_of("counts", "accounts", "ids"), str)
    relay: Secret[RelaySource] | None = attrs.field(
        default=None, repr=False, metadata={"check": values.relay, "read": str}
    )
    relay_name: str = _option("togai", values.name, str)
    relay_replicas: int = _option(0, values.whole(0, 100), int)
    relay_hold: float = _option(10.0, values.seconds(zero=True), float)
    max_relay_bytes: int = _option(256 * 1024**2, values.whole(1), int)

    @classmethod
    def load(cls, environ: Mapping[str, str], **arguments: Any) -> Config:
        """Complete the options given from ``environ`` and check them; raises ``ConfigurationError``."""
        # What is given is hidden until it is checked: any of it may be a secret, or the key in a wrong place.
        environment, given = Secret(environ), {name: hidden(value) for name, value in arguments.items()}
        del environ, arguments
        for name in given.keys() - {field.name for field in attrs.fields(cls)}:
            raise ConfigurationError(f"{name}: is no option")
        left_out = Secret(UNSET)
        config = cls(
            **{
                field.name: _value(field, given.get(field.name, left_out), environment)
                for field in attrs.fields(cls)
            }
        )
        if config.relay is not None and config.enabled:
            has_interval = given.get(
                "flush_interval", left_out
            ).reveal() is not UNSET or environment.reveal().get("TOGAI_FLUSH_INTERVAL")
            config = config.as_producer(config.flush_interval if has_interval else RELAY_INTERVAL)
        config.check_together()
        return config

    def as_producer(self, flush_interval: float) -> Config:
        """Return these options for a shipper that hands over to a relay: it has no key, and no quota.

        So it cannot look anything up at Togai either.
        """
        return attrs.evolve(
            self,
            flush_interval=flush_interval,
            api_key=None,
            rate_limit=None,
            backoff_initial=min(self.backoff_initial, RELAY_BACKOFF),
            backoff_max=min(self.backoff_max, RELAY_BACKOFF),
            single_ingest_limit=0,
            verify=0.0,
            max_batch_bytes=min(self.max_batch_bytes, MOST_BYTES),  # no drainer takes more
        )

    @classmethod
    def readable(cls, environ: Mapping[str, str]) -> Config:
        """Take from ``environ`` the options that are right there, and the others' defaults; raise nothing."""
        found = {}
        for field in attrs.fields(cls):
            with suppress(ConfigurationError):
                found[field.name] = _value(field, Secret(UNSET), Secret(environ))
        return cls(**found)

    def check_journal_of_a_relay(self) -> None:
        """Refuse what a relay's journal does not keep; raises ``ConfigurationError``."""
        if self.journal != "counts":
            raise ConfigurationError(
                f"journal: must be 'counts' with a relay, not {self.journal!r}: its drainers count by day and"
                " schema in Redis, where accounts and ids have no room; a spool without a relay keeps them"
            )

    def check_together(self) -> None:
        """Check what no option can be checked for alone; raises ``ConfigurationError``."""
        if self.enabled and self.relay is not None:
            if find_spec("redis") is None:
                raise ConfigurationError("relay: needs redis-py; pip install 'togai-shipper[redis]'")
            self.check_journal_of_a_relay()
        elif self.enabled and self.api_key is None:
            raise ConfigurationError("api_key: missing; give api_key=, or set TOGAI_API_KEY")
        plain = urlsplit(self.base_url).scheme == "http"
        if plain and not self.allow_insecure and not values.is_loopback(self.base_url):
            raise ConfigurationError(
                f"base_url: {values.shown_base_url(self.base_url)!r} would send the key unencrypted; "
                "use https, or allow_insecure=True"
            )
        if self.backoff_max < self.backoff_initial:
            raise ConfigurationError(
                f"backoff_max: must be at least backoff_initial, is {self.backoff_max!r}"
            )


def _value(field: Any, given: Secret[Any], environment: Secret[Mapping[str, str]]) -> Any:
    """Return the value of one option, from its argument, its name in the environment, or its default."""
    source = field.name
    if given.reveal() is UNSET or (given.reveal() is None and field.name == "api_key"):
        source = "TOGAI_" + field.name.upper()
        given = _read(source, field.metadata["read"], environment)
        if given.reveal() is UNSET:
            return field.default
    try:
        return field.metadata["check"](given.reveal())
    except ValueError as wanted:
        problem = f"{source}: must be {wanted}, not {values.shown(field.name, given.reveal(), environment)}"
    except ConfigurationError as wrong:
        problem = str(wrong)
    # Raised out here: within, it would lead to the frames of the check, which have seen the value itself.
    raise ConfigurationError(problem)


def _read(
    name: str, read: Callable[[str], Any] | None, environment: Secret[Mapping[str, str]]
) -> Secret[Any]:
    """Return what the environment says; ``UNSET`` where it says nothing, and its text where that is wrong."""
    text = environment.reveal().get(name, "") if read else ""
    if not read or not text:
        return Secret(UNSET)
    try:
        return Secret(read(text))
    except ValueError:
        return Secret(text)

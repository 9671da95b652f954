"""What nobody may be shown: the key, and what is given in its place or beside it, until it is checked.

Error trackers and test runners show the locals of every frame of a traceback, and configurations are dumped.
So a key is a ``Secret`` from where it comes in, and revealed where a request's header is made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")
# A URL may have a password; a factory, a proxy's.
_MAY_BE_SECRET = ("api_key", "base_url", "session_factory", "relay")


class Secret(Generic[T]):
    """Holds a value that ``reveal()`` returns; nothing else shows it, neither ``repr`` nor its attributes."""

    __slots__ = ("reveal",)
    reveal: Callable[[], T]

    def __init__(self, value: T) -> None:
        self.reveal = lambda: value  # no attribute: a debugger's dump, and pickle, would have it

    def __repr__(self) -> str:
        return "<hidden>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and bool(self.reveal() == other.reveal())

    def __hash__(self) -> int:
        return hash(self.reveal())


class HiddenText(str):
    """Text that others have to read, a header's value, and that does not show in their tracebacks.

    Neither does a part of it: what shows values cuts them before it writes them. ``http.client`` encodes it,
    but an application's adapter may format it into a request: ``str()`` and ``format()`` give the text.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "<hidden>"

    def __getitem__(self, key: Any) -> HiddenText:
        return HiddenText(super().__getitem__(key))

    def __add__(self, other: str) -> HiddenText:
        return HiddenText(super().__add__(other))

    def __radd__(self, other: str) -> HiddenText:
        return HiddenText(other + str(self))


def hidden(value: Any) -> Secret[Any]:
    """Return ``value`` as a secret; one that is a secret already is returned as it is."""
    return value if isinstance(value, Secret) else Secret(value)


def hide(options: Any) -> None:
    """Hide, in place, those of a shipper's options that are secret or may be, before anything can fail."""
    for name in _MAY_BE_SECRET:
        if name in options:
            options[name] = hidden(options[name])

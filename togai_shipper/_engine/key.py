"""The key in use: fixed, or asked of the application and kept until Togai refuses it."""

from __future__ import annotations

from typing import Any

import attrs

from togai_shipper._config import ApiKey
from togai_shipper._option_values import check_key
from togai_shipper._process.signals import as_application
from togai_shipper._secret import Secret, hidden
from togai_shipper.exceptions import ConfigurationError


class KeyUnavailable(Exception):  # noqa: N818  a state of the world; never leaves the library
    """The application's ``api_key`` function gave no key that can be used."""


@attrs.define(eq=False)
class KeySource:
    """A key as it was handed over, and what it came to, once asked."""

    given: Secret[ApiKey | None] = attrs.field(converter=hidden)
    known: Secret[str] | None = None

    def current(self) -> Secret[str]:
        """Return the key; ask the application's function if none is known. Raises ``KeyUnavailable``."""
        if self.known is None:
            self.known = _ask(self.given)
        return self.known

    def forget(self, refused: Secret[str]) -> None:
        """Ask anew next time, if the key that is known is the ``refused`` one."""
        if self.known == refused:
            self.known = None


class Key:
    """The key in use; ``None``: nobody wants one. Its source is another object after each ``replace``."""

    def __init__(self, given: ApiKey | Secret[Any] | None) -> None:
        self.source = KeySource(given)

    def current(self) -> Secret[str]:
        """Return the key; ask the application's function if none is known. Raises ``KeyUnavailable``."""
        while True:
            source = self.source
            try:
                key = source.current()
            except KeyUnavailable:
                if self.source is source:
                    raise
            else:
                if self.source is source:  # else it was replaced while we asked, which may take seconds
                    return key

    def renewed(self, refused: Secret[str]) -> Secret[str] | None:
        """Return another key than ``refused``, if there is one now. Raises ``KeyUnavailable``."""
        self.source.forget(refused)
        key = self.current()
        return None if key == refused else key

    def replace(self, given: ApiKey | Secret[Any]) -> None:
        """Use another key, or another function, from now on; but none where nobody wants one."""
        if self.source.given.reveal() is None:
            return
        self.source = KeySource(given)


def _ask(given: Secret[ApiKey | None]) -> Secret[str]:
    if given.reveal() is None:
        return Secret("")
    try:
        with as_application():
            return check_key(_asked(given))
    except ConfigurationError as error:
        raise KeyUnavailable(str(error)) from error
    except Exception as error:  # whatever the application's function raises
        raise KeyUnavailable(f"the api_key callable raised {type(error).__name__}") from error


def _asked(given: Secret[ApiKey | None]) -> Secret[Any]:
    made: Any = given  # no local holds what is revealed
    return Secret(made.reveal()()) if callable(made.reveal()) else given

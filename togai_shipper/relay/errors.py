"""What can be wrong with a relay, by what is to be done about it. Each message says it in words."""

from __future__ import annotations


class RelayError(Exception):
    """The relay did not do what it was asked for."""


class Unreachable(RelayError):  # noqa: N818  named by what is the matter
    """Redis is not there, or not ready: the same again, on another connection.

    ``may_be_done``: it may have done it all the same.
    """

    def __init__(self, message: str, *, may_be_done: bool = True) -> None:
        super().__init__(message)
        self.may_be_done = may_be_done


class Full(RelayError):  # noqa: N818  named by what is the matter
    """The relay has ``max_relay_bytes``, or Redis has no memory left: later."""


class Forbidden(RelayError):  # noqa: N818  named by what is the matter
    """Redis wants another password, or does not let this user do it."""


class Foreign(RelayError):  # noqa: N818  named by what is the matter
    """The relay belongs to somebody else: another base URL, another key, other data under its names."""


class Newer(RelayError):  # noqa: N818  named by what is the matter
    """The relay holds a format that only a newer version reads."""


def another_key(known: str, ours: str) -> Foreign:
    """Return the error that says whose relay it is."""
    return Foreign(
        f"another key has drained this relay (fingerprint {known}, ours is {ours});"
        " if it is the same account's new key, give --new-key once"
    )


def of_another_kind(key: str) -> Foreign:
    """Return the error that says which of our keys holds what we have not put there."""
    return Foreign(
        "there is something else under the relay's names"
        + (f": {key} is of another type" if key else "")
        + "; choose another relay_name, or remove it"
    )

"""What redis-py raises, translated into what is to be done about it. Each message has no secret in it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from redis import exceptions

from togai_shipper._engine.blanking import blanked
from togai_shipper._secret import Secret
from togai_shipper.exceptions import ConfigurationError

from .errors import Forbidden, Foreign, Full, RelayError, Unreachable, of_another_kind

_UNKNOWN_USER = "Redis wants a password: a relay's URL has it before the host, with an @ between them"
# Where in a script that was, for its authors; in the ways of several versions.
_WHERE = re.compile(r"(?i)(,? ?script: [0-9a-f]{40},?)?( on)? ?@?user_script:[0-9]+:?\.?")
_IN_A_SCRIPT = re.compile("executing the script can't|ACL failure in script")
# What a Redis says that is not ready, or not the right one: it has done nothing. Of some, redis-py takes the
# name away, and raises an error of that name.
_NOT_READY = re.compile(
    "(ReadOnly|BusyLoading|MasterDown|ClusterDown|TryAgain|Moved|Ask)Error:"
    "|ResponseError: (MOVED|NOREPLICAS|BUSY) "
)


def translated(
    error: Exception, secrets: Sequence[Secret[str]], *, is_sent: bool, key: str = ""
) -> RelayError:
    """Return the ``RelayError`` for what redis-py raises.

    ``is_sent``: Redis may have had the question; ``key``: what it was about, where that is one key alone.
    """
    text = _WHERE.sub("", blanked(f"{type(error).__name__}: {error}", secrets))
    if isinstance(error, ConfigurationError):
        return Forbidden(str(error))
    if isinstance(error, exceptions.OutOfMemoryError) or "OOM " in str(error):
        return Full("Redis has no memory left")
    if (foreign := _foreign(error, key)) is not None:
        return foreign
    if (why := _why_forbidden(error, text)) is not None:
        return Forbidden(why)
    if "MovedError: " in text or "ResponseError: MOVED " in text:
        text = (
            f"another node of this Cluster has it; give relay= a function that makes a RedisCluster: {text}"
        )
        return Unreachable(text, may_be_done=False)
    # What is answered was not done, but for a script that has written before it failed.
    return Unreachable(f"no relay: {text}", may_be_done=is_sent and not _NOT_READY.match(text))


def _foreign(error: Exception, key: str) -> Foreign | None:
    """Return what is told where somebody else has written to ``key``; ``None`` where nobody has."""
    if isinstance(error, exceptions.ResponseError) and str(error).startswith("WRONGTYPE"):
        return of_another_kind(key)
    if "exhausted the last possible ID" in str(error):
        return Foreign(
            "something else has put an entry with the highest id into the relay's stream: none can follow it;"
            " once it is drained, delete the stream (DEL)"
        )
    if "hash value is not an integer" in str(error):
        return Foreign(f"something else has written to {key}: a figure of it is no number")
    return None


def _why_forbidden(error: Exception, text: str) -> str | None:
    """Return why this Redis does nothing for this user; ``None`` where it is something else."""
    if isinstance(error, (exceptions.AuthenticationError, exceptions.AuthorizationError)):
        is_tried = "invalid" in text  # without a password it answers with advice about its protocol
        return f"Redis does not let us in: {text}" if is_tried else _UNKNOWN_USER
    if isinstance(error, exceptions.NoPermissionError) or _IN_A_SCRIPT.search(text):
        return f"Redis does not let this user do it: {text}"
    if "unauthenticated" in text:  # how it refuses a long command of who has not said who he is
        return _UNKNOWN_USER
    if "DB index is out of range" in text:
        return "this Redis has no database of the number that the relay's URL ends with"
    if "unexpected symbol near '#'" in text:  # how an older one reads a script's flags
        return "this Redis is too old: a relay needs version 7 or newer"
    return None

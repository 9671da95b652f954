"""What redis-py raises, translated into what is to be done about it. Each message has no secret in it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from redis import exceptions

from togai_shipper._engine.blanking import blanked
from togai_shipper._secret import Secret
from togai_shipper.exceptions import ConfigurationError

from .errors import Forbidden, Foreign, Full, RelayError, Unreachable

_UNKNOWN_USER = "Redis wants a password: a relay's URL has it before the host, with an @ between them"
_IN_A_SCRIPT = re.compile("executing the script can't|ACL failure in script")
# What a Redis says that is not ready, or not the right one: it has done nothing. Of some, redis-py takes the
# name away, and raises an error of that name.
_NOT_READY = re.compile(
    "(ReadOnly|BusyLoading|MasterDown|ClusterDown|TryAgain|Moved|Ask)Error:"
    "|ResponseError: (MOVED|NOREPLICAS|BUSY) "
)


def translated(error: Exception, secrets: Sequence[Secret[str]], *, is_sent: bool) -> RelayError:
    """Return the ``RelayError`` for what redis-py raises; ``is_sent``: Redis may have had the question."""
    text = blanked(f"{type(error).__name__}: {error}", secrets)
    if isinstance(error, ConfigurationError):
        return Forbidden(str(error))
    if isinstance(error, exceptions.OutOfMemoryError) or "OOM " in str(error):
        return Full("Redis has no memory left")
    if isinstance(error, exceptions.ResponseError) and str(error).startswith("WRONGTYPE"):
        return Foreign(f"there is something else under the relay's names: {text}")
    if (why := _why_forbidden(error, text)) is not None:
        return Forbidden(why)
    if "MovedError: " in text or "ResponseError: MOVED " in text:
        text = (
            f"another node of this Cluster has it; give relay= a function that makes a RedisCluster: {text}"
        )
        return Unreachable(text, may_be_done=False)
    # What is answered was not done, but for a script that has written before it failed.
    return Unreachable(f"no relay: {text}", may_be_done=is_sent and not _NOT_READY.match(text))


def _why_forbidden(error: Exception, text: str) -> str | None:
    """Return why this Redis does nothing for this user; ``None`` where it is something else."""
    if isinstance(error, (exceptions.AuthenticationError, exceptions.AuthorizationError)):
        is_tried = "invalid" in text  # without a password it answers with advice about its protocol
        return f"Redis does not let us in: {text}" if is_tried else _UNKNOWN_USER
    if isinstance(error, exceptions.NoPermissionError) or _IN_A_SCRIPT.search(text):
        return f"Redis does not let this user do it: {text}"
    if "unauthenticated" in text:  # how it refuses a long command of who has not said who he is
        return _UNKNOWN_USER
    if "unexpected symbol near '#'" in text:  # how an older one reads a script's flags
        return "this Redis is too old: a relay needs version 7 or newer"
    return None

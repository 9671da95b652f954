"""AWS Lambda: deliver before the invocation ends, for afterwards everything is frozen."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, TypeVar, overload

from togai_shipper import Shipper, _default

MARGIN = 0.5  # seconds of an invocation's time that are left to Lambda

Handler = TypeVar("Handler", bound=Callable[..., Any])


@overload
def flush_after(handler: Handler) -> Handler: ...
@overload
def flush_after(
    *, shipper: Shipper | None = None, timeout: float | None = None
) -> Callable[[Handler], Handler]: ...
def flush_after(handler: Any = None, *, shipper: Shipper | None = None, timeout: float | None = None) -> Any:
    """Flush at the end of each invocation of a Lambda handler, whether it returns or raises.

    Between invocations no thread runs, and the environment may be taken away without a word.

    Args:
        handler: the function that Lambda calls with ``(event, context)``.
        shipper: the one to flush (default: that of ``togai_shipper.track``).
        timeout: seconds to wait at most (default: the shipper's ``close_timeout``); never longer than the
            invocation has left.

    Returns:
        The handler, with the same results and errors.

    Raises:
        TypeError: the handler is a coroutine function.

    >>> @flush_after
    ... def handler(event, context):
    ...     return {"statusCode": 200}

    An event of each invocation is what ``metered`` makes, below it. Lambda invokes again what has failed, and
    with the same request id, so that as the key it bills once, by the invocation that ends well:

    >>> from togai_shipper import Shipper
    >>> shipper = Shipper(enabled=False)
    >>> @flush_after(shipper=shipper)
    ... @shipper.metered(
    ...     "invocation",
    ...     lambda call: call.args[0]["account"],
    ...     {"count": 1},
    ...     duration="took",
    ...     idempotency_key=lambda call: call.args[1].aws_request_id,
    ... )
    ... def metered_handler(event, context):
    ...     return {"statusCode": 200}

    """
    if handler is None:
        return lambda handler: _flushing_after(handler, shipper, timeout)
    return _flushing_after(handler, shipper, timeout)


def _flushing_after(handler: Any, shipper: Shipper | None, timeout: float | None) -> Any:
    """Wrap ``handler`` so that a flush follows each of its calls."""
    if iscoroutinefunction(handler):
        raise TypeError("flush_after: the handler must be a plain function, as Lambda calls it; use aflush()")

    @wraps(handler)
    def flushing(event: Any, context: Any) -> Any:
        try:
            return handler(event, context)
        finally:
            used = _default.made() if shipper is None else shipper
            if used is not None:  # else nothing was tracked
                used.flush(_time_left(context, used.close_timeout if timeout is None else timeout))

    return flushing


def _time_left(context: Any, timeout: float) -> float:
    try:
        left = float(context.get_remaining_time_in_millis()) / 1000 - MARGIN
    except Exception:  # a test's context, whatever that is
        return timeout
    return min(timeout, max(0.0, left))

"""The layers of middleware that one request goes through: for each shipper and schema it is one event.

An application and one that is mounted in it may both be metered, or a middleware may be named twice. Each
layer finds those around it in what they hand on, WSGI's environ or ASGI's scope. The innermost that knows an
account makes the event, since it knows most: the route, and who is signed in. For those around it the request
is counted already.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from contextvars import ContextVar, Token
from typing import Any, TypeAlias

#: What a request is, to who hands it on: WSGI's environ, or ASGI's scope.
Carrier: TypeAlias = MutableMapping[str, Any]

_UnderWay: TypeAlias = tuple["Layers", str, str, bytes]

HERE = "togai_shipper.layers"


class Layers:
    """What the layers around one request know of each other.

    Attributes:
        settled: for whom the request is an event, or is left out for what it is: a shipper, and the name of a
            schema.
        open: responses that are not over, outermost first, where these end in the wrong order (ASGI's).

    """

    __slots__ = ("open", "settled")

    def __init__(self) -> None:
        self.settled: set[tuple[Any, str]] = set()
        self.open: list[Any] = []


# ASGI's request under way. Who lets a WSGI application answer it makes an environ, which knows no scope.
_under_way: ContextVar[_UnderWay | None] = ContextVar("togai_shipper.layers", default=None)


def enter(carrier: Carrier) -> tuple[Layers, bool]:
    """Return the layers of a request, and whether this one is the first; it calls ``leave`` at its end."""
    layers = carrier.get(HERE)
    if layers is not None:
        return layers, False
    around = _under_way.get()
    layers = around[0] if around is not None and _is_the_same(around, carrier) else Layers()
    carrier[HERE] = layers
    return layers, True


def leave(carrier: Carrier) -> None:
    """Hand the environ or the scope back as it was."""
    carrier.pop(HERE, None)


def begin(layers: Layers, scope: Carrier) -> Token[_UnderWay | None]:
    """Note that ASGI's request is under way, for a WSGI application that answers it."""
    return _under_way.set((layers, scope["method"], scope["path"], scope.get("query_string", b"")))


def end(token: Token[_UnderWay | None]) -> None:
    """Forget what ``begin`` has noted."""
    try:
        _under_way.reset(token)
    except ValueError:  # a coroutine that nobody awaits to its end is closed somewhere else
        return


def _is_the_same(around: _UnderWay, environ: Carrier) -> bool:
    """Whether an environ was made of ASGI's request under way, and not of another, made on its behalf."""
    _, method, path, query = around
    path, info = path.encode("utf-8", "replace").decode("latin-1"), environ.get("PATH_INFO", "")
    return (
        environ.get("REQUEST_METHOD") == method
        and environ.get("QUERY_STRING", "") == query.decode("latin-1")
        and path in (info, environ.get("SCRIPT_NAME", "") + info)
    )

"""Flask: an extension that makes an event of each request, at the end of its response."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any

from togai_shipper._metering import TextOf

from ._http import Exchange, Measures, Metering
from .wsgi import WHOLE, Environ, answered

if TYPE_CHECKING:
    from flask import Flask
    from typing_extensions import Unpack

__all__ = ["Exchange", "Togai"]

BEGUN = "togai_shipper.flask"  # in the environ: the request and its context


class Togai:
    """Flask's extension: each request is answered as without it, and is an event when it is over.

    A streamed response is over when its body ends, or when the server closes it before. The request's body is
    not touched.

    Args:
        app: the application; or leave it out, and call ``init_app`` where your factory makes one.
        schema_name: Togai's event schema.
        account_id: whom it is billed to, or a function of the ``Exchange`` that says so (its ``request`` is
            ``flask.request``; ``flask.g`` and ``current_user`` are still what they were in the request).
            ``None``: nobody, no event.
        measures: ``attributes`` (default: ``{"count": 1}``), ``dimensions`` and ``idempotency_key``: values,
            or functions of the ``Exchange``. ``duration``: the name of an attribute that gets the
            milliseconds. ``outcome``: the name of a dimension that gets ``"ok"`` or ``"error"``.
            ``failures`` (default true): count what ``failed``, too: 5xx, and what was cut short.
            ``shipper`` (default: that of ``togai_shipper.track``).

    What a function raises, and an event that breaks a limit, is counted in ``stats().refused["invalid"]``,
    logged and told to ``on_error``; the request does not notice.

    >>> from flask import Flask, g
    >>> from togai_shipper.testing import RecordedEvents
    >>> app = Flask("shop")
    >>> togai = Togai(app, schema_name="api_call", account_id=lambda exchange: g.account)
    >>> @app.get("/items/<item>")
    ... def item(item):
    ...     g.account = "acme"
    ...     return item
    >>> with RecordedEvents() as recorded:
    ...     app.test_client().get("/items/7").text
    ...     assert recorded.assert_tracked("api_call", account="acme", attributes={"count": 1})
    '7'

    """

    def __init__(
        self,
        app: Flask | None = None,
        *,
        schema_name: str,
        account_id: TextOf[Exchange],
        **measures: Unpack[Measures],
    ) -> None:
        self._metering = Metering(schema_name, account_id, **measures)
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Meter what ``app`` answers from now on."""
        from flask import request  # noqa: PLC0415  imported when used

        def begun() -> None:
            """Keep what a response that is streamed will have left behind."""
            this = request._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001  a proxy says it so
            this.environ[BEGUN] = (this, copy_context())

        def finished(response: Any) -> Any:
            """Know a response that is not streamed."""
            if response.is_sequence:
                request.environ[WHOLE] = sum(map(len, response.iter_encoded()))
            return response

        app.extensions["togai"] = self
        # The first function before a request, and so the last one after it.
        app.before_request_funcs.setdefault(None, []).insert(0, begun)
        app.after_request_funcs.setdefault(None, []).insert(0, finished)
        application = app.wsgi_app

        def wsgi_app(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
            return answered(application, environ, start_response, self._told, self._metering.clock)

        app.wsgi_app = wsgi_app  # type: ignore[method-assign]  # as Flask says to

    def _told(self, environ: Environ, method: str, path: str, route: str | None, *rest: Any) -> None:
        """In the context of its request, which Flask has left by now."""
        begun: tuple[Any, Context] | None = environ.pop(BEGUN, None)  # or it would be a cycle
        if begun is None:  # answered before Flask saw it
            self._metering(Exchange(environ, method, path, route, *rest))
            return
        request, context = begun
        if request.url_rule is not None:
            route = request.url_rule.rule
        context.run(self._metering, Exchange(request, method, path, route, *rest))

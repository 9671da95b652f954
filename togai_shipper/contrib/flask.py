"""Flask: an extension that makes an event of each request, at the end of its response."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any

from togai_shipper._recipe import TextOf

from ._http import Exchange, Measures, Metering
from .wsgi import Environ, WsgiResponse

if TYPE_CHECKING:
    from flask import Flask
    from typing_extensions import Unpack

__all__ = ["Exchange", "Togai"]


class Togai:
    """Extends Flask: each request is answered as without it, and then becomes an event.

    A streamed response is over when its body ends, or when the server closes it before; any other, when Flask
    leaves its request, before the functions of ``teardown_appcontext``: a database's session is still open
    then, and is not after a stream. ``response_bytes`` is what Flask made, before what is put around it packs
    it. The request's body is not touched.

    Args:
        app: the application; or leave it out, and call ``init_app`` where your factory makes one.
        schema_name: Togai's event schema.
        account_id: whom it is billed to, or a function of the ``Exchange`` that says so (its ``request`` is
            ``flask.request``; ``flask.g`` and ``current_user`` are still what they were in the request).
            ``None``: nobody, no event.
        measures: ``attributes`` (default: ``{"count": 1}``), ``dimensions`` and ``idempotency_key``: values,
            or functions of the ``Exchange``. ``duration``: the name of an attribute that gets the
            milliseconds. ``outcome``: the name of a dimension that gets ``"ok"`` or ``"error"``.
            ``when``: a function of the ``Exchange`` that says whether it counts; default: every one does.
            ``failures=False`` is short for one that leaves out what ``failed``: 5xx, and what was cut short.
            ``shipper`` (default: that of ``togai_shipper.track``).

    Raises:
        TypeError: ``when`` is no plain function, or stands beside ``failures=False``.

    No event, and counted in ``stats().left_out``: a redirect that the framework makes for a slash, a CORS
    preflight, what an inner middleware has made an event of, what ``when`` says no to. If ``when`` raises,
    the request counts, and the log says so.

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
        """Meter what ``app`` answers from now on.

        Raises:
            RuntimeError: it was called for ``app`` before; each request would be two events.

        """
        from flask import request  # noqa: PLC0415  imported when used

        key = f"togai_shipper.flask {id(self)}"  # another extension may meter the same application
        keys: list[str] = app.extensions.setdefault("togai_shipper.flask", [])
        if key in keys:
            raise RuntimeError(f"Togai.init_app was called twice for {app}")
        keys.append(key)
        app.extensions["togai"] = self

        def finished(response: Any) -> Any:
            this = request._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001  a proxy says it so
            metered = this.environ.get(key)
            if metered is not None:
                metered.finish(this, response, copy_context())
            return response

        def torn_down(_: BaseException | None) -> None:
            this = request._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001  likewise
            for each in keys:  # innermost first, which Flask would call last
                metered = this.environ.get(each)
                if metered is not None:
                    metered.tear_down(this)

        # The first function before a request, and so the last one after it.
        app.after_request_funcs.setdefault(None, []).insert(0, finished)
        app.teardown_request_funcs.setdefault(None, []).append(torn_down)
        application = app.wsgi_app

        def wsgi_app(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
            metered = environ[key] = _FlaskResponse(key, environ, start_response, self._metering)
            return metered.by(application)

        app.wsgi_app = wsgi_app  # type: ignore[method-assign]  # as Flask says to


class _FlaskResponse(WsgiResponse):
    """Watches one response; its ``request`` is the environ until Flask has made one of it."""

    def __init__(
        self, key: str, environ: Environ, start_response: Callable[..., Any], metering: Metering
    ) -> None:
        super().__init__(environ, start_response, metering, metering.clock)
        self._key = key  # in the environ
        self._metering = metering
        self._finished = False  # by Flask, if not yet by what was put around it
        self._whole: int | None = None  # the bytes of a body that is not streamed

    def finish(self, request: Any, response: Any, context: Context) -> None:
        """Note what Flask has made; ``context`` is what the functions of a stream's event still see."""
        self.request = request
        self.meter = lambda *exchange: context.run(self._metering, *exchange)
        self._finished = True
        self._whole = sum(map(len, response.iter_encoded())) if response.is_sequence else None

    def tear_down(self, request: Any) -> None:
        """Make the event while what the request has opened is open, such as a database's session."""
        self.request = request
        if self._whole is not None and self.status is not None:
            self.bytes = self._whole
            self.end(complete=True)
        elif not self._finished and self.status is None:  # an error is passed on to the server
            self.end(complete=False)

    def end(self, *, complete: bool) -> None:
        """Make the event, unless it is made already."""
        request = self.request
        self.environ.pop(self._key, None)  # or it would be a cycle
        if request is not self.environ and request.url_rule is not None:
            self.route = request.url_rule.rule
        super().end(complete=complete)

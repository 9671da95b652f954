"""The pattern that a request has matched, as far as frameworks say: what ``Exchange.route`` is."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, MutableMapping
from functools import partial
from types import FunctionType, MethodType
from typing import Any

NOTED = "togai_shipper.noted"  # in a scope: the rules of Quart, which leaves no word itself
DEEPEST = 20  # mounts, one within the other


def of_environ(environ: Mapping[str, Any], script: str) -> str | None:
    """Return the pattern of Flask's route, below ``script``, the ``SCRIPT_NAME`` of when the request came."""
    rule = getattr(getattr(environ.get("werkzeug.request"), "url_rule", None), "rule", None)
    if not isinstance(rule, str):
        return None
    inner: str = environ.get("SCRIPT_NAME", "")
    return inner.removeprefix(script) + rule


def prepare(scope: MutableMapping[str, Any]) -> None:
    """Make a place in ``scope`` where Quart's rule is noted, and which copies of ``scope`` share."""
    scope.setdefault(NOTED, [])


def of_scope(scope: Mapping[str, Any], path: str, root: str) -> str | None:
    """Return the pattern of Starlette's, FastAPI's, Litestar's or Quart's route, from the outermost one on.

    ``path`` and ``root`` are what ``path`` and ``root_path`` of the scope were when the request came.
    """
    try:
        return _of_scope(scope, path, root)
    except Exception:  # of a route of somebody's own
        return None


def has_view(scope: Mapping[str, Any]) -> bool:
    """Whether a framework has found a view, and not only an application that is mounted."""
    handler = scope.get("route_handler")  # Litestar's
    if scope.get(NOTED) or (handler is not None and not getattr(handler, "is_mount", False)):
        return True
    route = scope.get("route")
    if route is not None:
        return not hasattr(route, "routes")
    view = scope.get("endpoint")  # of a Starlette that names no route: up to 1.3, at least
    return isinstance(view, FunctionType | MethodType | partial | type)


def listen_to_quart() -> None:
    """Have Quart, if it is loaded, note the rule of each request whose scope was prepared."""
    if "quart" in sys.modules:
        from quart import request_started  # noqa: PLC0415  it is loaded

        request_started.connect(_note_rule)


async def _note_rule(_: Any) -> None:  # a coroutine: Quart has a thread run what is none
    from quart import request  # noqa: PLC0415  it is who calls

    noted: Any = request.scope.get(NOTED)
    if noted is not None and request.url_rule is not None:
        noted.append((request.scope.get("root_path", ""), request.url_rule.rule))


def _of_scope(scope: Mapping[str, Any], path: str, root: str) -> str | None:
    reached: str = scope.get("root_path") or ""
    outermost = scope.get("app_root_path")  # is there below a mount of Starlette's
    if noted := scope.get(NOTED):
        (reached, rule), *_ = noted
        pattern, _ = _walk(scope, path, root if outermost is None else outermost, reached, None)
        return pattern + str(rule)
    outermost = reached if outermost is None else outermost
    template = scope.get("path_template")
    if not isinstance(template, str):
        return _of_starlette(scope, path, outermost, reached)
    if getattr(scope.get("route_handler"), "is_mount", False):
        below = scope["path"].rstrip("/")  # Litestar hands on what is below a mount, and ends it by a slash
        inner = _of_starlette(scope, below, outermost, reached)
        return path.removeprefix(root).rstrip("/").removesuffix(below) + (inner or "") or None
    pattern, _ = _walk(scope, path, outermost, reached, None)
    return pattern + template


def _of_starlette(scope: Mapping[str, Any], path: str, outermost: str, reached: str) -> str | None:
    route, endpoint = scope.get("route"), scope.get("endpoint")
    # FastAPI's own route does not know the prefix of ``include_router``.
    fastapi = scope.get("fastapi")
    included = fastapi.get("effective_route_context") if isinstance(fastapi, dict) else None
    if getattr(included, "original_route", None) is not route:
        included = None
    leaf = None if hasattr(route, "routes") else getattr(included or route, "path", None)
    if isinstance(leaf, str):
        pattern, _ = _walk(scope, path, outermost, reached, None)
        return pattern + leaf
    if route is None and endpoint is None:
        return None
    # A mount whose application has said nothing; or a plain route, of which FastAPI says nothing.
    pattern, found = _walk(scope, path, outermost, reached, endpoint)
    return pattern + (found or "") or None


def _walk(
    scope: Mapping[str, Any], path: str, outermost: str, reached: str, endpoint: Any
) -> tuple[str, str | None]:
    """Return the pattern of the mounts that lead to ``reached``, and that of the route to ``endpoint`` there.

    Starlette's scope says where the way has led, not by which mounts: they are asked again, in its order.
    What cannot be asked, or lies too deep, is in the pattern as the client wrote it.
    """
    pattern, root = "", outermost
    routes = getattr(scope.get("router"), "routes", ())
    for _ in range(DEEPEST):
        if root == reached and endpoint is None:
            return pattern, None
        asked = {"type": "http", "path": path, "root_path": root}
        asked |= {"method": scope["method"], "headers": scope["headers"]}
        leaf = _leaf(routes, asked, endpoint) if root == reached else None
        mount, below = _mount(routes, asked, reached)
        if leaf is not None or mount is None:
            return pattern + reached.removeprefix(root), leaf
        pattern += getattr(mount, "path", "")  # Starlette's Host has none
        root, routes = below, _below(mount)
    return pattern + reached.removeprefix(root), None


def _leaf(routes: Iterable[Any], asked: Mapping[str, Any], endpoint: Any) -> str | None:
    for route in _each(routes):
        if getattr(route, "endpoint", None) is endpoint and route.matches(asked)[0].value:
            return str(route.path)
    return None


def _mount(routes: Iterable[Any], asked: Mapping[str, Any], reached: str) -> tuple[Any, str]:
    """Return the first mount that leads there, or ``None``, and the ``root_path`` below it."""
    for route in _each(routes):
        if hasattr(route, "routes"):
            match, child = route.matches(asked)
            root = child.get("root_path", asked["root_path"])
            if match.value and reached.startswith(root):
                return route, root
    return None, ""


def _each(routes: Iterable[Any]) -> Iterable[Any]:
    """Return the routes one by one, those of FastAPI's included routers with their prefixes."""
    contexts = getattr(sys.modules.get("fastapi.routing"), "iter_route_contexts", iter)
    return contexts(routes)  # an older FastAPI has them so itself


def _below(mount: Any) -> Iterable[Any]:
    """Return the routes of the application that is mounted, also where middleware is around it."""
    app, routes = mount, mount.routes
    while not routes and app is not None:
        app = getattr(app, "app", None)
        routes = getattr(app, "routes", ())
    return routes or ()

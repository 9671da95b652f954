"""What servers serve under the middleware: a body without end, and a file that they may send themselves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path
from flask import Flask, Response, send_file
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse as StarletteFile
from starlette.responses import Response as StarletteResponse
from starlette.responses import StreamingResponse
from starlette.routing import Route

import togai_shipper
from togai_shipper.contrib import asgi, flask, wsgi

HERE = Path(__file__)
MEASURES: Any = {
    "schema_name": "api_call",
    "account_id": "acme",
    "attributes": {"size": lambda exchange: exchange.response_bytes},
    "dimensions": {"path": lambda exchange: exchange.path},
    "outcome": "outcome",
}


def endless() -> Iterator[bytes]:
    while True:
        yield 1000 * b"endless\n"
        time.sleep(0.01)  # the pace of a body without end; nobody waits by it


async def endless_later() -> AsyncIterator[bytes]:
    while True:
        yield 1000 * b"endless\n"
        await asyncio.sleep(0.01)  # likewise


def items(environ: dict[str, Any], start_response: Any) -> Any:
    """A framework that has a page at /items/ alone."""
    if environ["PATH_INFO"] == "/items":
        query = environ["QUERY_STRING"]
        start_response("301 Moved Permanently", [("Location", f"/items/?{query}"), ("Content-Length", "5")])
        return [b"moved"]
    start_response("200 OK", [("Content-Length", "5")])
    return [b"items"]


def bare(environ: dict[str, Any], start_response: Any) -> Any:
    if environ["PATH_INFO"].startswith("/items"):
        return items(environ, start_response)
    if environ["PATH_INFO"] == "/endless":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return endless()
    start_response("200 OK", [("Content-Length", str(HERE.stat().st_size))])
    return environ["wsgi.file_wrapper"](HERE.open("rb"), 4096)


wsgi_app = wsgi.TogaiMiddleware(bare, **MEASURES)

flask_app = Flask(__name__)
flask_app.add_url_rule("/endless", "endless", lambda: Response(endless()))
flask_app.add_url_rule("/file", "file", lambda: send_file(HERE))
flask_app.add_url_rule("/items/", "items", lambda: "items")
flask.Togai(flask_app, **MEASURES)


async def starlette_endless(request: Request) -> StreamingResponse:
    return StreamingResponse(endless_later())


async def starlette_file(request: Request) -> StarletteFile:
    return StarletteFile(HERE)


async def starlette_items(request: Request) -> StarletteResponse:
    return StarletteResponse()


asgi_app = Starlette(
    routes=[
        Route("/endless", starlette_endless),
        Route("/file", starlette_file),
        Route("/items/", starlette_items),
    ]
)
asgi_app.add_middleware(asgi.TogaiMiddleware, **MEASURES)


async def django_endless_later(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(endless_later())


urlpatterns = [
    path("endless", lambda request: StreamingHttpResponse(endless())),
    path("endless-later", django_endless_later),
    path("file", lambda request: FileResponse(HERE.open("rb"))),
    path("items/", lambda request: HttpResponse()),
]
settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=[
        "togai_shipper.contrib.django.TogaiMiddleware",
        "django.middleware.common.CommonMiddleware",
        "togai_shipper.contrib.django.TogaiMiddleware",  # once more: a request is one event
    ],
    TOGAI={**MEASURES, "account_id": lambda exchange: "acme"},
)
django_app = get_wsgi_application()
django_asgi_app = get_asgi_application()
togai_shipper.configure()

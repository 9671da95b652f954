"""An ASGI application that leaves its end to the server: it closes nothing."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from togai_shipper import Shipper

shipper = Shipper()


async def hello(request: Request) -> PlainTextResponse:
    shipper.track("api_call", "acme", {"count": 1})
    return PlainTextResponse("hello\n")


app = Starlette(routes=[Route("/", hello)])

"""What uvicorn serves: it tracks in requests, notes every id, and closes when the server has shut down."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from web import shipper, track


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    yield
    await shipper.aclose()


async def answer(request: Request) -> JSONResponse:
    return JSONResponse(track(3))


app = Starlette(routes=[Route("/", answer)], lifespan=lifespan)

"""FastAPI, metered. Start it: uvicorn fastapi_app:app."""

from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import StreamingResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from togai_shipper import Shipper
from togai_shipper.contrib.asgi import TogaiMiddleware

TOKENS = {"token-of-acme": "acme"}  # who has which account; yours are in a database, as hashes
shipper = Shipper()


def sign_in(request: Request, given: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]):
    """Find out who asks; the middleware below reads it."""
    request.state.account = TOKENS.get(given.credentials)
    if request.state.account is None:
        raise HTTPException(401)


@asynccontextmanager
async def lifespan(app):
    """Deliver what is pending when the server ends: it runs no exit hooks."""
    yield
    await shipper.aclose()


app = FastAPI(lifespan=lifespan, dependencies=[Depends(sign_in)])
app.add_middleware(
    TogaiMiddleware,
    schema_name="api_call",
    account_id=lambda exchange: exchange.request.get("state", {}).get("account"),
    attributes={"count": 1, "size": lambda exchange: (exchange.response_bytes, "Bytes")},
    dimensions={"route": lambda exchange: exchange.route or "none"},
    shipper=shipper,
)


@app.get("/items/{item}")
async def read_item(item: int):
    """Answer with it."""
    return {"item": item}


@app.get("/stream")
async def stream():
    """Answer in two parts."""
    return StreamingResponse(iter([b"hello, ", b"world\n"]))

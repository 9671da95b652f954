"""FastAPI, metered. Start it: uvicorn fastapi_app:app."""

from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

from togai_shipper import Shipper
from togai_shipper.contrib.asgi import TogaiMiddleware

shipper = Shipper()


@asynccontextmanager
async def lifespan(app):
    """Deliver what is pending when the server ends: it runs no exit hooks."""
    yield
    await shipper.aclose()


app = FastAPI(lifespan=lifespan)
app.add_middleware(
    TogaiMiddleware,
    schema_name="api_call",
    account_id=lambda exchange: Request(exchange.request).headers.get("x-account"),
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

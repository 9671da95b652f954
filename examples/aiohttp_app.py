"""aiohttp, metered. Start it: python aiohttp_app.py."""

import sys

from aiohttp import web

from togai_shipper.contrib.aiohttp import TogaiMiddleware

TOKENS = {"token-of-acme": "acme"}  # who has which account; yours are in a database, as hashes
ACCOUNT = web.RequestKey("account", str)  # before aiohttp 3.14 a text: "account"

metered = TogaiMiddleware(
    schema_name="api_call",
    account_id=lambda exchange: exchange.request.get(ACCOUNT),  # what sign_in() has found
    attributes={"count": 1, "size": lambda exchange: (exchange.response_bytes, "Bytes")},
    dimensions={"route": lambda exchange: exchange.route or "none"},
)


@web.middleware
async def sign_in(request, handler):
    """Find out who asks; the middleware around it reads that."""
    given = request.headers.get("Authorization", "")
    account = TOKENS.get(given.removeprefix("Bearer "))
    if account is None:
        raise web.HTTPUnauthorized
    request[ACCOUNT] = account
    return await handler(request)


async def read_item(request):
    """Answer with it."""
    return web.json_response({"item": int(request.match_info["item"])})


async def stream(request):
    """Answer in two parts."""
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"hello, ")
    await response.write(b"world\n")
    return response


app = web.Application(middlewares=[metered, sign_in])
app.add_routes([web.get("/items/{item}", read_item), web.get("/stream", stream)])

if __name__ == "__main__":
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]) if sys.argv[1:] else 8000)

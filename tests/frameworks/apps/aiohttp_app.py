"""A metered aiohttp application that leaves its end to the server: it closes nothing."""

from __future__ import annotations

import sys

from aiohttp import web

from togai_shipper.contrib.aiohttp import TogaiMiddleware


async def read_item(request: web.Request) -> web.Response:
    return web.Response(text=request.match_info["item"])


app = web.Application(middlewares=[TogaiMiddleware(schema_name="api_call", account_id="acme")])
app.router.add_get("/items/{item}", read_item)

if __name__ == "__main__":
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]))

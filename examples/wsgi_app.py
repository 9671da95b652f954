"""Any WSGI application, metered. Start it: gunicorn wsgi_app:app."""

from togai_shipper import Shipper
from togai_shipper.contrib.wsgi import TogaiMiddleware

TOKENS = {"token-of-acme": "acme"}  # who has which account; yours are in a database, as hashes


def hello(environ, start_response):
    """Answer in two parts, and leave in the environ who has asked."""
    environ["hello.account"] = TOKENS.get(environ.get("HTTP_AUTHORIZATION", "").removeprefix("Bearer "))
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"hello, "
    yield b"world\n"


app = TogaiMiddleware(
    hello,
    schema_name="api_call",
    account_id=lambda exchange: exchange.request.get("hello.account"),
    attributes={"count": 1, "size": lambda exchange: (exchange.response_bytes, "Bytes")},
    shipper=Shipper(),
)

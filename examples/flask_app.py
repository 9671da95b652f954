"""Flask, metered. Start it: flask --app flask_app run."""

from flask import Flask, abort, g, request

from togai_shipper import Shipper
from togai_shipper.contrib.flask import Togai

TOKENS = {"token-of-acme": "acme"}  # who has which account; yours are in a database, as hashes

togai = Togai(
    schema_name="api_call",
    account_id=lambda exchange: g.account,
    attributes={"count": 1, "size": lambda exchange: (exchange.response_bytes, "Bytes")},
    dimensions={"route": lambda exchange: exchange.route or "none"},
    shipper=Shipper(),
)


def create_app():
    """Make the application, as ``flask run`` asks for."""
    app = Flask(__name__)
    togai.init_app(app)

    @app.before_request
    def sign_in():
        given = request.authorization
        g.account = TOKENS.get(given.token) if given else None
        if g.account is None:
            abort(401)

    @app.get("/items/<int:item>")
    def read_item(item):
        return {"item": item}

    return app

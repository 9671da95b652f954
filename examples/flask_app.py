"""Flask, metered. Start it: flask --app flask_app run."""

from flask import Flask, g, request

from togai_shipper import Shipper
from togai_shipper.contrib.flask import Togai

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
        g.account = request.headers.get("X-Account")

    @app.get("/items/<int:item>")
    def read_item(item):
        return {"item": item}

    return app

"""Django in one file, metered.

Start it: python django_app.py runserver; gunicorn django_app:application;
uvicorn django_app:async_application.
"""

import sys

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path

TOKENS = {"token-of-acme": "acme"}  # who has which account; yours are in a database, as hashes


def sign_in(get_response):
    """Find out who asks, as a middleware; that of Togai reads it."""

    def answer(request):
        request.account = TOKENS.get(request.headers.get("Authorization", "").removeprefix("Bearer "))
        return get_response(request) if request.account else HttpResponse(status=401)

    return answer


settings.configure(
    ALLOWED_HOSTS=["*"],
    DEBUG=True,
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["togai_shipper.contrib.django"],
    MIDDLEWARE=["togai_shipper.contrib.django.TogaiMiddleware", f"{__name__}.sign_in"],
    TOGAI={
        "schema_name": "api_call",
        "account_id": lambda exchange: getattr(exchange.request, "account", None),
        "attributes": {"count": 1, "size": lambda exchange: (exchange.response_bytes, "Bytes")},
        "dimensions": {"route": lambda exchange: exchange.route or "none"},
        "options": {},
    },
)

urlpatterns = [
    path("items/<int:item>", lambda request, item: JsonResponse({"item": item})),
    path("stream", lambda request: StreamingHttpResponse([b"hello, ", b"world\n"])),
]

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
else:
    application = get_wsgi_application()
    async_application = get_asgi_application()

"""The examples, each started as its users start it, asked over HTTP, and judged by the sandbox's ledger."""

from __future__ import annotations

import shutil
import socket
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import requests
from redis_server import redis_server
from requests.adapters import HTTPAdapter
from serving import PATIENCE, serving
from urllib3 import Retry

from togai_shipper.testing import FakeTogai

pytestmark = pytest.mark.servers

EXAMPLES = Path(__file__).parents[2] / "examples"
SOON = {"TOGAI_FLUSH_INTERVAL": "0.05"}  # the ends of servers have tests of their own


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


def ask(url: str, *paths: str, unproven: int = 401) -> list[tuple[int, str]]:
    """Ask for each path as acme, and once and with a claim alone; wait for a server that is not there yet."""
    with requests.Session() as session:
        session.mount(
            "http://", HTTPAdapter(max_retries=Retry(connect=100, backoff_factor=0.1, backoff_max=0.5))
        )
        proof = {"Authorization": "Bearer token-of-acme"}
        answers = [session.get(url + path, headers=proof, timeout=PATIENCE) for path in paths]
        claims = {"X-Account": "acme", "Authorization": "Bearer guess"}
        assert session.get(url + paths[0], headers=claims, timeout=PATIENCE).status_code == unproven
    return [(answer.status_code, answer.text) for answer in answers]


def billed(togai: FakeTogai, number: int) -> list[dict[str, Any]]:
    """What the ledger has, once it has so many events, none of them twice."""
    assert togai.wait(lambda: togai.ledger.metered >= number, PATIENCE)
    assert (togai.ledger.metered, togai.ledger.billed_twice) == (number, set())
    return [
        {
            "account": record.event["accountId"],
            **{attribute["name"]: attribute["value"] for attribute in record.event["attributes"]},
            **record.event["dimensions"],
        }
        for record in {record.event["id"]: record for record in togai.ledger.records}.values()
    ]


def same(left: Iterable[dict[str, Any]], right: Iterable[dict[str, Any]]) -> bool:
    """Whatever the order."""
    return Counter(map(repr, left)) == Counter(map(repr, right))


def test_wsgi_under_gunicorn(togai: FakeTogai) -> None:
    command = ("gunicorn", "wsgi_app:app", "--bind", "fd://{fd}", "--no-control-socket")
    with serving(togai, *command, folder_of_apps=EXAMPLES, **SOON) as server:
        assert ask(server.url, "/", unproven=200) == [(200, "hello, world\n")]
        assert billed(togai, 1) == [{"account": "acme", "count": "1", "size": "13"}]


def test_flask_run(togai: FakeTogai) -> None:
    port = free_port()
    command = ("flask", "--app", "flask_app", "run", "--port", str(port))
    with serving(togai, *command, folder_of_apps=EXAMPLES, **SOON):
        answers = ask(f"http://127.0.0.1:{port}", "/items/7", "/nowhere")
        assert [status for status, _ in answers] == [200, 404]
        expected = [
            {"account": "acme", "count": "1", "size": str(len(answers[0][1])), "route": "/items/<int:item>"},
            {"account": "acme", "count": "1", "size": str(len(answers[1][1])), "route": "none"},
        ]
        assert same(billed(togai, 2), expected)


def test_flask_under_gunicorn(togai: FakeTogai) -> None:
    command = ("gunicorn", "flask_app:create_app()", "--bind", "fd://{fd}", "--no-control-socket")
    with serving(togai, *command, folder_of_apps=EXAMPLES, **SOON) as server:
        ((status, text),) = ask(server.url, "/items/7")
        assert status == 200
        route = "/items/<int:item>"
        assert billed(togai, 1) == [{"account": "acme", "count": "1", "size": str(len(text)), "route": route}]


def test_fastapi_under_uvicorn(togai: FakeTogai) -> None:
    with serving(
        togai, "uvicorn", "fastapi_app:app", "--fd", "{fd}", folder_of_apps=EXAMPLES, **SOON
    ) as server:
        answers = ask(server.url, "/items/7", "/stream")
        assert answers == [(200, '{"item":7}'), (200, "hello, world\n")]
        expected = [
            {"account": "acme", "count": "1", "size": "10", "route": "/items/{item}"},
            {"account": "acme", "count": "1", "size": "13", "route": "/stream"},
        ]
        assert same(billed(togai, 2), expected)


def test_aiohttp(togai: FakeTogai) -> None:
    port = free_port()
    with serving(togai, "python", "aiohttp_app.py", str(port), folder_of_apps=EXAMPLES, **SOON):
        answers = ask(f"http://127.0.0.1:{port}", "/items/7", "/stream")
        assert answers == [(200, '{"item": 7}'), (200, "hello, world\n")]
        expected = [
            {"account": "acme", "count": "1", "size": "11", "route": "/items/{item}"},
            {"account": "acme", "count": "1", "size": "13", "route": "/stream"},
        ]
        assert same(billed(togai, 2), expected)


@pytest.mark.parametrize(
    "command",
    [
        ("python", "django_app.py", "runserver", "--noreload", "{port}"),
        ("gunicorn", "django_app:application", "--bind", "fd://{fd}", "--no-control-socket"),
        ("uvicorn", "django_app:async_application", "--fd", "{fd}"),
    ],
    ids=["runserver", "gunicorn", "uvicorn"],
)
def test_django(togai: FakeTogai, command: tuple[str, ...]) -> None:
    port = free_port()
    command = tuple(part.replace("{port}", str(port)) for part in command)
    with serving(togai, *command, folder_of_apps=EXAMPLES, **SOON) as server:
        url = f"http://127.0.0.1:{port}" if "runserver" in command else server.url
        assert ask(url, "/items/7", "/stream") == [(200, '{"item": 7}'), (200, "hello, world\n")]
        expected = [
            {"account": "acme", "count": "1", "size": "11", "route": "items/<int:item>"},
            {"account": "acme", "count": "1", "size": "13", "route": "stream"},
        ]
        assert same(billed(togai, 2), expected)


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="there is no redis-server on the path")
def test_celery_worker(togai: FakeTogai) -> None:
    command = ("celery", "--app", "celery_app", "worker", "--concurrency", "1")
    with (
        redis_server() as path,  # a folder as a broker is read while it is written to, now and then
        serving(togai, *command, folder_of_apps=EXAMPLES, **SOON, BROKER=f"redis+socket://{path}") as server,
    ):
        for pages in "13":  # the second is retried once
            server.run(str(EXAMPLES / "celery_app.py"), "acme", pages)
        events = billed(togai, 2)
        assert {(event["account"], event["pages"]) for event in events} == {("acme", "1"), ("acme", "3")}
        assert all(float(event["took"]) >= 0 for event in events)


def test_lambda_handler(togai: FakeTogai) -> None:
    twice = (
        "import lambda_app\n"
        "event = dict(requestContext=dict(authorizer=dict(account='acme')))\n"
        "context = type('Context', (), dict(aws_request_id='request 1'))\n"
        "for _ in range(2): lambda_app.handler(event, context)"
    )
    with serving(togai, "python", "-c", twice, folder_of_apps=EXAMPLES) as server:
        assert server.process.wait(PATIENCE) == 0
        (event,) = billed(togai, 1)
        assert (event["account"], event["count"]) == ("acme", "1")


def test_every_example_is_run() -> None:
    here = Path(__file__).read_text("utf-8")

    assert all(example.stem in here for example in EXAMPLES.glob("*.py"))

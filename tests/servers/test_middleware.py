"""The middleware under real servers: a client that hangs up, and files that the server sends by itself."""

from __future__ import annotations

import sys
from typing import Any
from urllib.parse import urljoin

import pytest
import requests
from serving import APPS, PATIENCE, serving

from togai_shipper.testing import FakeTogai

pytestmark = pytest.mark.servers

SOON = {"TOGAI_FLUSH_INTERVAL": "0.05"}
GUNICORN = ("gunicorn", "--bind", "fd://{fd}", "--no-control-socket")
UWSGI = ("uwsgi", "--master", "--need-app", "--http-socket", "fd://{fd}", "--virtualenv", sys.prefix)
UVICORN = ("uvicorn", "--fd", "{fd}")
SERVERS = {
    "wsgi under gunicorn": (*GUNICORN, "metered:wsgi_app"),
    "wsgi under uwsgi": (*UWSGI, "--lazy-apps", "--module", "metered:wsgi_app"),
    "flask under gunicorn": (*GUNICORN, "metered:flask_app"),
    "flask under uwsgi": (*UWSGI, "--lazy-apps", "--module", "metered:flask_app"),
    "django under gunicorn": (*GUNICORN, "metered:django_app"),
    "django under uwsgi": (*UWSGI, "--lazy-apps", "--module", "metered:django_app"),
    "starlette under uvicorn": (*UVICORN, "metered:asgi_app"),
    "django under uvicorn": (*UVICORN, "metered:django_asgi_app"),
}


def the_event(togai: FakeTogai) -> dict[str, Any]:
    assert togai.wait(lambda: togai.ledger.metered > 0, PATIENCE)
    (record,) = togai.ledger.records
    return dict(record.event)


@pytest.mark.parametrize("name", SERVERS)
def test_a_file_that_the_server_sends_arrives_whole_and_is_counted(togai: FakeTogai, name: str) -> None:
    content = (APPS / "metered.py").read_bytes()
    with serving(togai, *SERVERS[name], **SOON) as server:
        assert requests.get(server.url + "/file", timeout=PATIENCE).content == content
        event = the_event(togai)
        assert event["attributes"] == [{"name": "size", "value": str(len(content))}]
        assert event["dimensions"] == {"path": "/file", "outcome": "ok"}


@pytest.mark.parametrize("name", SERVERS)
def test_a_call_that_is_redirected_for_a_slash_is_one_event(togai: FakeTogai, name: str) -> None:
    with serving(togai, *SERVERS[name], **SOON) as server:
        asked = server.url + "/items?page=2"
        redirect = requests.get(asked, allow_redirects=False, timeout=PATIENCE)
        assert redirect.status_code in (301, 307, 308)
        # On a connection of its own: uWSGI closes the first one without saying so.
        requests.get(urljoin(asked, redirect.headers["Location"]), timeout=PATIENCE).raise_for_status()
        assert the_event(togai)["dimensions"] == {"path": "/items/", "outcome": "ok"}


@pytest.mark.parametrize("name", SERVERS)
def test_a_client_that_hangs_up_is_a_failed_request(togai: FakeTogai, name: str) -> None:
    path = "/endless-later" if name == "django under uvicorn" else "/endless"
    with serving(togai, *SERVERS[name], **SOON) as server:
        with requests.get(server.url + path, stream=True, timeout=PATIENCE) as response:
            assert next(response.iter_content(7)) == b"endless"
        event = the_event(togai)
        assert int(event["attributes"][0]["value"]) >= 8000
        assert event["dimensions"] == {"path": path, "outcome": "error"}

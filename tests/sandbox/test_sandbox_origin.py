"""No web page of another origin reads the sandbox, posts to it, or drives its faults."""

from __future__ import annotations

import pytest
import requests
from bare_client import event

from togai_shipper.sandbox.origin import is_private
from togai_shipper.testing import FakeTogai

PATHS = [
    ("POST", "/ingest"),
    ("POST", "/ingestBatch"),
    ("GET", "/events"),
    ("POST", "/authenticate"),
    ("GET", "/"),
    ("GET", "/page/stream"),
    ("GET", "/page/event"),
    ("GET", "/page/export"),
    ("POST", "/page/faults"),
    ("POST", "/page/clear"),
]
STRANGERS = [
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate"},
    {"Host": "evil.example"},
    {"Host": "evil.example:8080", "Origin": "http://evil.example:8080"},
]


@pytest.mark.parametrize("headers", STRANGERS, ids=str)
@pytest.mark.parametrize(("method", "path"), PATHS)
def test_what_a_stranger_s_page_sends_is_refused(
    togai: FakeTogai, session: requests.Session, method: str, path: str, headers: dict[str, str]
) -> None:
    own = {"X-Sandbox-Page": "1"}
    reply = session.request(
        method, togai.url + path, json={"event": event()}, headers=own | headers, timeout=10, stream=True
    )

    assert reply.status_code == 403
    assert "access-control-allow-origin" not in reply.headers
    assert (togai.ledger.accepted, togai.requests) == (0, ())


def test_two_hosts_are_refused(togai: FakeTogai) -> None:
    # requests sends one Host alone
    import socket  # noqa: PLC0415  for this test alone

    with socket.create_connection(("127.0.0.1", togai.port), 10) as connection:
        connection.sendall(b"GET /events HTTP/1.0\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")
        assert connection.recv(100).split()[1] in (b"400", b"403")


def test_a_link_from_elsewhere_leads_to_the_page(togai: FakeTogai, session: requests.Session) -> None:
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}

    assert session.get(togai.url, headers=link, timeout=10).status_code == 200
    assert session.get(togai.url + "/page/export", headers=link, timeout=10).status_code == 403


def test_the_page_s_own_requests_pass(togai: FakeTogai, session: requests.Session) -> None:
    own = {"Origin": togai.url, "Sec-Fetch-Site": "same-origin"}

    assert session.post(togai.url + "/ingest", json={"event": event()}, headers=own, timeout=10).ok


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        ("127.0.0.1:8080", True),
        ("192.168.1.5", True),
        ("[::1]:8080", True),
        ("localhost", True),
        ("LOCALHOST.:80", True),
        ("togai:8080", True),
        ("host.docker.internal:8080", True),
        ("togai.default.svc.cluster.local", True),
        ("evil.example", False),
        ("127.0.0.1.evil.example:8080", False),
        ("local.evil", False),
        ("evil.example:8080.", False),
    ],
)
def test_a_host_is_private_if_no_stranger_can_register_it(host: str, *, is_ours: bool) -> None:
    assert is_private(host) is is_ours

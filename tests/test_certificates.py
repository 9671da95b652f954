"""Whom a request trusts: the session's bundle, else the environment's, everywhere; a missing file is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import requests
from raw_server import CERTIFICATE, raw_server

from togai_shipper._engine.transport import Transport
from togai_shipper._engine.verdict import Reply
from togai_shipper._secret import Secret

PUBLIC = requests.certs.where()  # trusts no certificate of our own making
VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@pytest.fixture(autouse=True)
def no_bundle_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)


def reply(url: str, **facts: Any) -> Reply:
    """The reply to a session's request, with these facts set; our own session, if there are none."""

    def session() -> requests.Session:
        made = requests.Session()
        for name, value in facts.items():
            setattr(made, name, value)
        return made

    transport = Transport(url, (5, 5), session if facts else None)
    said = transport.post("/ingest", b"{}", Secret("secret"), 1e6)
    transport.close()
    return said


@pytest.mark.parametrize("variable", VARIABLES)
def test_the_bundle_of_the_environment_counts_for_loopback_too(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, str(CERTIFICATE))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # and still leads nowhere from here
    with raw_server(tls=True) as server:
        assert reply(server.url).status == 202


@pytest.mark.parametrize("variable", VARIABLES)
def test_what_the_session_verifies_by_wins_over_the_environment(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, PUBLIC)
    with raw_server(tls=True) as server:
        assert reply(server.url, verify=str(CERTIFICATE)).status == 202
        assert reply(server.url, verify=True).status is None


def test_a_session_that_looks_at_no_environment_is_not_given_its_bundle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
    with raw_server(tls=True) as server:
        assert reply(server.url, trust_env=True).status == 202
        assert reply(server.url, trust_env=False).status is None


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_missing_bundle_of_the_environment_is_told(
    variable: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(variable, str(tmp_path / "ca.pem"))

    said = reply("https://localhost:9")

    assert said == Reply(None, error=f"no such CA bundle: {tmp_path / 'ca.pem'}", sent=False)


def test_a_missing_file_of_the_session_is_told(tmp_path: Path) -> None:
    gone, there = str(tmp_path / "gone.pem"), str(CERTIFICATE)

    assert reply("https://localhost:9", verify=gone).error == f"no such CA bundle: {gone}"
    for cert in (gone, Path(gone)):
        assert reply("https://localhost:9", cert=cert).error == f"no such client certificate: {gone}"
    assert reply("https://localhost:9", cert=(there, gone)).error == (
        f"no such key of a client certificate: {gone}"
    )


def test_by_plain_http_no_bundle_is_missed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    with raw_server() as server:
        assert reply(server.url).status == 202


def test_a_client_certificate_that_is_there_is_shown() -> None:
    with raw_server(tls=True) as server:
        key = str(CERTIFICATE.with_suffix(".key"))
        assert reply(server.url, verify=str(CERTIFICATE), cert=(str(CERTIFICATE), key)).status == 202


def test_to_a_server_that_is_not_trusted_nothing_was_sent() -> None:
    with raw_server(tls=True) as server:
        said = reply(server.url)
        assert (said.status, said.sent) == (None, False)
        assert server.requests == []

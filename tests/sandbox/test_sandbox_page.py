"""The sandbox's page, as its routes answer."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
import requests
from bare_client import batch, event, single
from click.testing import CliRunner

from togai_shipper.cli.app import cli
from togai_shipper.sandbox.fault_desk import BUTTONS, MOST_POISONS
from togai_shipper.testing import FakeTogai, faults

OWN = {"X-Sandbox-Page": "1"}


def wish(session: requests.Session, togai: FakeTogai, **wanted: Any) -> int:
    return session.post(togai.url + "/page/faults", json=wanted, headers=OWN, timeout=10).status_code


def told(session: requests.Session, togai: FakeTogai, query: str = "") -> Any:
    """The first that the stream tells."""
    with session.get(togai.url + "/page/stream", params={"q": query}, timeout=10, stream=True) as reply:
        assert reply.headers["content-type"].startswith("text/event-stream")
        line = next(reply.iter_lines())
    return json.loads(line.removeprefix(b"data: "))


# --- what it is made of -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/", "text/html"), ("/page/page.css", "text/css"), ("/page/page.js", "text/javascript")],
)
def test_its_files_are_served_and_let_nothing_in_from_outside(
    togai: FakeTogai, session: requests.Session, path: str, kind: str
) -> None:
    reply = session.get(togai.url + path, timeout=10)

    assert reply.headers["content-type"].startswith(kind)
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    assert "unsafe" not in reply.headers["content-security-policy"]
    assert "//" not in reply.text.replace("http-equiv", "").replace("// ", "")
    assert "innerHTML" not in reply.text
    assert togai.requests == ()
    assert reply.headers["Date"]  # as every reply: by it a client tells whether its clock is right


# --- the stream -------------------------------------------------------------------------------------------


def test_the_stream_tells_events_requests_totals_and_the_bill(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.accounts = {"acme"}
    batch(session, togai, event("a"), event("b", accountId="<img src=x onerror=alert(1)>"))

    first = told(session, togai)

    rows = [(row["id"], row["outcome"], row["reason"]) for row in first["update"]["events"]]
    assert rows == [
        ("a", "billed", ""),
        ("b", "not billed", "no account '<img src=x onerror=alert(1)>'"),
    ]
    (request,) = first["update"]["requests"]
    assert (request["path"], request["status"], request["outcomes"]) == (
        "/ingestBatch",
        202,
        {"billed": 1, "not billed": 1},
    )
    assert first["state"]["totals"]["billed"] == 1
    assert first["state"]["bill"] == [
        {"account": "acme", "schema": "api_call", "events": 1, "sums": [["count", "", "1"]]}
    ]


def test_the_stream_goes_on_as_events_come_and_ends_with_the_sandbox(
    togai: FakeTogai, session: requests.Session
) -> None:
    seen: list[Any] = []
    with session.get(togai.url + "/page/stream", timeout=10, stream=True) as reply:

        def read() -> None:
            try:
                for line in reply.iter_lines():
                    if line.startswith(b"data: "):
                        seen.append(json.loads(line.removeprefix(b"data: ")))
                        if len(seen) == 1:
                            single(requests.Session(), togai, event("unauthorized"))
                        elif seen[-1]["update"]["requests"]:
                            return
            except requests.RequestException:
                return

        reader = threading.Thread(target=read)
        reader.start()
        reader.join(10)

    assert [row["status"] for row in seen[-1]["update"]["requests"]] == [401]
    with session.get(togai.url + "/page/stream", timeout=10, stream=True):
        togai.stop()  # does not wait for its viewers


def test_the_stream_of_a_viewer_who_filters_tells_what_matches(
    togai: FakeTogai, session: requests.Session
) -> None:
    batch(session, togai, event("a"), event("b", accountId="globex"), event("a"))

    def ids(query: str) -> list[str]:
        return [row["id"] for row in told(session, togai, query)["update"]["events"]]

    assert ids("GLOBEX region=eu") == ["b"]
    assert ids("known") == ["a"]
    assert ids("nothing has this") == []


# --- an opened event --------------------------------------------------------------------------------------


def test_an_opened_event_shows_its_json_its_request_and_its_copies_but_no_key(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.script(faults.Refuse(503, "down"))
    batch(session, togai, event("a", dimensions={"name": "\u00e9"}))
    batch(session, togai, event("b"), event("a"))

    reply = session.get(togai.url + "/page/event", params={"request": 0, "index": 0}, timeout=10)

    found = reply.json()
    assert json.loads(found["json"]) == event("a", dimensions={"name": "\u00e9"})
    assert found["brought_by"]["status"] == 503
    assert [(row["request"], row["outcome"]) for row in found["copies"]] == [(0, "refused"), (1, "billed")]
    assert (found["receipts"], found["accepted"], found["metered"]) == (2, 1, 1)
    assert "secret" not in reply.text


def test_an_event_without_an_id_or_with_a_broken_one_can_be_opened(
    togai: FakeTogai, session: requests.Session
) -> None:
    batch(session, togai, event(None), event(None))
    batch(session, togai, event(id={"\ud800": [1]}, attributes=7, dimensions=[], schemaName="x" * 5000))

    nameless = session.get(togai.url + "/page/event?request=0&index=1", timeout=10).json()
    broken = session.get(togai.url + "/page/event?request=1&index=0", timeout=10).json()

    assert (nameless["copies"], nameless["outcome"]) == ([], "not billed")
    assert (broken["outcome"], len(broken["schema"])) == ("refused", 601)
    assert told(session, togai)["update"]["events"][-1]["attributes"] == ""


@pytest.mark.parametrize(
    ("query", "status"),
    [("", 400), ("request=x&index=0", 400), ("request=7&index=0", 404), ("request=0&index=-1", 404)],
)
def test_what_is_not_kept_cannot_be_opened(
    togai: FakeTogai, session: requests.Session, query: str, status: int
) -> None:
    single(session, togai, event())

    assert session.get(f"{togai.url}/page/event?{query}", timeout=10).status_code == status


# --- faults -----------------------------------------------------------------------------------------------


def test_a_fault_meets_every_request_until_it_is_off(togai: FakeTogai, session: requests.Session) -> None:
    assert wish(session, togai, name="down", on=True, once=False) == 200
    assert [single(session, togai, event()).status_code for _ in range(2)] == [503, 503]
    assert told(session, togai)["state"]["faults"]["fault"] == "down"

    assert wish(session, togai, name="down", on=False, once=False) == 200
    assert single(session, togai, event()).status_code == 202
    assert told(session, togai)["state"]["faults"]["fault"] is None


def test_a_fault_for_the_next_request_meets_only_that_one(
    togai: FakeTogai, session: requests.Session
) -> None:
    wish(session, togai, name="207", on=True, once=True)

    assert single(session, togai, event("a")).status_code == 202  # a 207 is the reply to a batch
    assert told(session, togai)["state"]["faults"]["once"] is True
    assert batch(session, togai, event("b"), event("c")).status_code == 207
    assert batch(session, togai, event("b")).status_code == 202


@pytest.mark.parametrize("name", [button.name for button in BUTTONS if button.fault is not None])
def test_each_button_stands_for_a_fault(togai: FakeTogai, session: requests.Session, name: str) -> None:
    assert wish(session, togai, name=name, on=True, once=True) == 200
    assert told(session, togai)["state"]["faults"]["fault"] == name


def test_the_key_is_revoked_and_valid_again(togai: FakeTogai, session: requests.Session) -> None:
    wish(session, togai, name="key", on=True)
    assert single(session, togai, event()).status_code == 401
    assert told(session, togai)["state"]["faults"]["revoked"] is True

    wish(session, togai, name="key", on=False)
    assert single(session, togai, event()).status_code == 202


def test_poison_refuses_what_matches_until_it_is_cured(togai: FakeTogai, session: requests.Session) -> None:
    assert wish(session, togai, name="poison", text=" Count=1 acme ") == 200
    assert batch(session, togai, event("a"), event("b", attributes=[])).status_code == 400
    assert batch(session, togai, event("b", attributes=[])).status_code == 202
    assert told(session, togai)["state"]["faults"]["poisons"] == ["Count=1 acme"]

    wish(session, togai, name="cure")
    assert single(session, togai, event("a")).status_code == 202


@pytest.mark.parametrize(
    "wanted",
    [{}, {"name": "poison", "text": " "}, {"name": "key", "on": 1}, {"name": "x", "on": True, "once": True}],
)
def test_what_is_no_fault_is_refused(
    togai: FakeTogai, session: requests.Session, wanted: dict[str, Any]
) -> None:
    assert wish(session, togai, **wanted) == 400


def test_poison_has_a_bound_and_a_wish_is_json(togai: FakeTogai, session: requests.Session) -> None:
    statuses = [wish(session, togai, name="poison", text=f"{n}") for n in range(MOST_POISONS + 1)]
    garbage = session.post(togai.url + "/page/faults", data=b"\xff{", headers=OWN, timeout=10)

    assert statuses == [200] * MOST_POISONS + [400]
    assert garbage.status_code == 400


@pytest.mark.parametrize("path", ["/page/faults", "/page/clear"])
def test_what_changes_something_needs_the_page_s_own_header(
    togai: FakeTogai, session: requests.Session, path: str
) -> None:
    assert session.post(togai.url + path, json={"name": "cure"}, timeout=10).status_code == 403


# --- clear, export ----------------------------------------------------------------------------------------


def test_clear_forgets_events_and_the_next_request_has_the_next_number(
    togai: FakeTogai, session: requests.Session
) -> None:
    single(session, togai, event())
    assert session.post(togai.url + "/page/clear", headers=OWN, timeout=10).status_code == 200
    assert (togai.ledger.accepted, togai.requests, told(session, togai)["state"]["cleared"]) == (0, (), 1)

    single(session, togai, event())
    assert (togai.ledger.metered, togai.requests[-1].number) == (1, 1)


def test_an_export_is_what_send_takes(togai: FakeTogai, session: requests.Session, tmp_path: Path) -> None:
    unit = [{"name": "ms", "value": "9.50", "unit": "ms"}]
    batch(session, togai, event("a"), event("b", attributes=unit), event("a"))
    batch(session, togai, event(None), event("c", accountId="globex"))
    batch(session, togai, {"id": "broken"})

    reply = session.get(togai.url + "/page/export", timeout=10)
    matching = session.get(togai.url + "/page/export?q=globex", timeout=10)

    assert [json.loads(line).get("id") for line in reply.text.splitlines()] == ["a", "b", None, "c"]
    assert [json.loads(line)["id"] for line in matching.text.splitlines()] == ["c"]
    file = tmp_path / "sandbox.ndjson"
    file.write_bytes(reply.content)
    checked = CliRunner().invoke(cli, ["send", "--dry-run", str(file)])
    assert checked.exit_code == 0, checked.output

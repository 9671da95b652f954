"""The lines of ``togai-shipper sandbox``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from togai_shipper.cli.sandbox.lines import Line, event_lines, request_lines
from togai_shipper.cli.sandbox.random_faults import FAULTS
from togai_shipper.testing import Answered, EventOutcome, faults

BILLED, KNOWN = EventOutcome("billed"), EventOutcome("known")
INVALID = "events[1].attributes[0].value: must be a string that matches ^-?\\d{1,512}(\\.\\d+)?$"


def event(schema: Any = "api_call", account: Any = "acme") -> dict[str, Any]:
    return {"id": "0f8fad5b-d9cb-469f-a165-70867728950e", "schemaName": schema, "accountId": account} | {
        "attributes": [{"name": "count", "value": "1"}],
        "dimensions": {"region": "eu-west-1"},
    }


def answered(
    events: Sequence[dict[str, Any]] = (), outcomes: Sequence[EventOutcome] = (), **changes: Any
) -> Answered:
    facts: dict[str, Any] = {"at": 0.0, "method": "POST", "path": "/ingestBatch", "headers": {}, "ids": ()}
    facts |= {"number": 0, "size": 111_690, "status": 202, "ended": 0.1}
    return Answered(events=list(events), outcomes=tuple(outcomes), **(facts | changes))


def texts(lines: Sequence[Line]) -> list[str]:
    return ["".join(text for text, _ in line) for line in lines]


def style_of(lines: Sequence[Line], words: str) -> str:
    return next(style for line in lines for text, style in line if words in text)


@pytest.mark.parametrize(
    ("request_", "line"),
    [
        (
            answered([event()] * 500, [BILLED] * 500),
            "202  /ingestBatch   500 events  112 kB  api_call for acme",
        ),
        (
            answered([event()], [KNOWN], path="/ingest", size=340),
            "202  /ingest          1 event    340 B  api_call for acme  1 known already",
        ),
        (
            answered([event("a"), event("b"), event("b", "globex")], [BILLED, KNOWN, BILLED]),
            "202  /ingestBatch     3 events  112 kB  b 2, a 1 for 2 accounts  2 billed  1 known already",
        ),
        (
            answered([event(name) for name in "abcde"], [BILLED] * 5),
            "202  /ingestBatch     5 events  112 kB  a 1, b 1, c 1, 2 more for acme",
        ),
        (
            answered([event()] * 2, [EventOutcome("refused", INVALID)] * 2, status=400),
            f"400  /ingestBatch     2 events  112 kB  api_call for acme  2 refused: {INVALID}",
        ),
        (
            answered([event("s", "a")] * 3, [EventOutcome("not billed", f"no {name}") for name in "xxy"]),
            "202  /ingestBatch     3 events  112 kB  s for a  3 not billed: no x (2), and 1 other reason",
        ),
        (
            answered([event()], [BILLED], status=502, fault=FAULTS["lost"]),
            "502  /ingestBatch     1 event   112 kB  api_call for acme  fault lost  1 billed",
        ),
        (
            answered([event()], [BILLED], status=None, fault=faults.Slow(0.1, then=FAULTS["reset"])),
            "---  /ingestBatch     1 event   112 kB  api_call for acme  fault reset  1 billed",
        ),
        (
            answered([event()], [BILLED], fault=FAULTS["slow"]),
            "202  /ingestBatch     1 event   112 kB  api_call for acme  fault slow  1 billed",
        ),
        (answered([event()], [BILLED], fault=faults.Slow(0.1)), None),
        (answered([event(["x"], None)], [BILLED], size=0), None),
        (answered(method="GET", path="/events", status=200), "200  GET /events"),
        (
            answered(method="PUT", status=405, reason="Method Not Allowed"),
            "405  PUT /ingestBatch  Method Not Allowed",
        ),
        (answered(status=400, reason="body: is required"), "400  /ingestBatch  body: is required"),
    ],
)
def test_elsewhere_than_on_a_terminal_a_request_is_one_line(request_: Answered, line: str | None) -> None:
    found = texts(request_lines(request_, None))

    assert len(found) == 1
    if line is not None:
        assert found == [line]


def test_on_a_terminal_what_does_not_fit_is_on_the_next_line() -> None:
    request = answered([event()] * 2, [EventOutcome("refused", INVALID)] * 2, status=400)

    assert texts(request_lines(request, 80)) == [
        "400  /ingestBatch     2 events  112 kB  api_call for acme",
        "     2 refused: events[1].attributes[0].value: must be a string that matches",
        "     ^-?\\d{1,512}(\\.\\d+)?$",
    ]


def test_money_that_is_lost_is_red_and_what_comes_again_is_not() -> None:
    lost = request_lines(answered([event()], [EventOutcome("not billed", "no account 'x'")]), 80)
    invalid = request_lines(answered([event()], [EventOutcome("refused", "why")], status=400), 80)
    again = request_lines(answered([event()], [EventOutcome("refused", "why")], status=503), 80)
    fine = request_lines(answered([event()], [BILLED]), 80)

    assert style_of(lost, "no account") == style_of(invalid, "400") == style_of(invalid, "why") == "bold red"
    assert style_of(again, "503") == style_of(again, "why") == "yellow"
    assert {style for line in fine for _, style in line} == {""}


def test_an_event_is_a_line_with_what_became_of_it() -> None:
    assert texts(event_lines(event(), BILLED, None)) == [
        "     billed      0f8fad5b-d9cb-469f-a165-70867728950e  api_call for acme count=1 region=eu-west-1"
    ]
    assert texts(event_lines(event(), EventOutcome("not billed", "no account 'acme'"), 80)) == [
        "     not billed  0f8fad5b-d9cb-469f-a165-70867728950e  no account 'acme'",
        "                 api_call for acme count=1 region=eu-west-1",
    ]


@pytest.mark.parametrize(
    ("strange", "line"),
    [
        ({}, "     open        null  null for null"),
        (
            {"id": 7, "schemaName": "s" * 61, "accountId": [], "attributes": [1], "dimensions": 5},
            f"     open        7  {'s' * 59}… for []",
        ),
    ],
)
def test_what_is_no_event_has_a_line_too(strange: dict[str, Any], line: str) -> None:
    assert texts(event_lines(strange, None, None)) == [line]

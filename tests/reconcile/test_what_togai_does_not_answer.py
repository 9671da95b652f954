"""Look-ups that are refused, hang, lead nowhere or lie: one line and exit status 3, and never "balanced"."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from scene import DAY, Scene, at, event

from togai_shipper._config import Config
from togai_shipper._engine.transport import NoSession
from togai_shipper._engine.verdict import Reply
from togai_shipper.cli.events_asked import PAGE, pages, records_of
from togai_shipper.cli.not_answered import NotAnswered
from togai_shipper.cli.reconcile.counting import Counting
from togai_shipper.cli.reconcile.naming import MOST_ALONE
from togai_shipper.cli.togai_asked import TogaiAsked, togai_asked
from togai_shipper.testing import faults

ALONE = ("--sole-sender", "--day-rule", "event")
CONFIG = Config.load({}, api_key="secret", base_url="http://127.0.0.1:1")


class Togai:
    """Answers by a function of the request's path and body; ``paused`` is how long the client has waited."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, Any]] = []
        self.paused: list[float] = []

    def post(self, path: str, body: bytes, key: Any, time_left: float) -> Reply:
        return self._answer(path, json.loads(body))

    def get(self, path: str, key: Any, time_left: float) -> Reply:
        return self._answer(path, None)

    def close(self) -> None:
        self.asked.append(("closed", None))

    def _answer(self, path: str, body: Any) -> Reply:
        self.asked.append((path, body))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            answer = answer(body)
        return answer if isinstance(answer, Reply) else Reply(200, json.dumps(answer).encode())

    def client(self) -> TogaiAsked:
        return TogaiAsked(self, CONFIG.api_key, 10, lambda: 0.0, self.paused.append)  # type: ignore[arg-type]


def counting(*answers: Any) -> Counting:
    return Counting(Togai(*answers).client(), 1)


def results(*data: Any, ids: Callable[[list[str]], list[str]] = list) -> Callable[[Any], Any]:
    """Give the same data in answer to each query."""
    return lambda body: {
        "results": [
            {"id": each, "name": "EVENTS", "data": list(data)}
            for each in ids([query["id"] for query in body["metricQueries"]])
        ]
    }


def group(
    *,
    moments: Any = ("2026-11-20T00:00:00Z",),
    counts: Any = (1,),
    field: str = "SCHEMA_NAME",
    value: Any = "a",
) -> Any:
    grouped = {"fieldName": field, "fieldValue": value}
    return {"groupedBy": grouped, "timestamps": moments, "metricValues": counts}


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Reply(None, error="no reply: timed out"), "no reply: timed out"),
        (
            Reply(401, b"{}"),
            "Togai refuses the key (401); it allows an address 5 such requests in 30 minutes",
        ),
        (Reply(403, b"{}"), "the key may not look this up (403)"),
        (Reply(404, b"<html>"), "it is not there (HTTP 404); is the base_url right?"),
        (Reply(404, b"{}"), "it is not there (HTTP 404); is the base_url right?"),
        (Reply(405, b"{}"), "it is not there (HTTP 405); is the base_url right?"),
        (Reply(200, b"<html>"), "a page that is not Togai's"),
        (Reply(200, b"{}", doubt="HTTP 200, and more after it"), "HTTP 200, and more after it"),
        (Reply(500, b"{}"), "HTTP 500"),
        (Reply(400, b'{"message": "no\\nsuch"}'), "Togai refuses the question: no such"),
        ({}, "the answer is not as Togai documents it: results: must be a list"),
        ({"results": [5]}, "the answer is not as Togai documents it: results: must hold objects"),
        (results(ids=lambda ids: ids[1:]), "results: has not one result for each query"),
        (results(ids=lambda ids: [ids[0], *ids]), "documents it: results: has not one result for each query"),
        (results(5), "data: must hold objects"),
        (results({}), "groupedBy: must hold objects"),
        (results(group(field="ACCOUNT_ID")), "groupedBy: must be a value of SCHEMA_NAME"),
        (results(group(value=5)), "documents it: groupedBy: must be a value of SCHEMA_NAME"),
        (results(group(counts=(1, 2))), "timestamps: are not as many as metricValues"),
        (results(group(counts=(-1,))), "metricValues: must be counts"),
        (results(group(counts=(1.5,))), "documents it: metricValues: must be counts"),
        (results(group(counts=(float("inf"),))), "as Togai documents it: metricValues: must be counts"),
        (results(group(counts=(True,))), "not as Togai documents it: metricValues: must be counts"),
        (results(group(moments=("noon",))), "timestamps: must be moments"),
        (results(group(moments=("0001-01-01T00:00:00+05:30",))), "documents it: timestamps: must be moments"),
        (
            results(group(moments=("2026-11-19T00:00:00Z",))),
            "the answer has 2026-11-19, which nobody asked for",
        ),
    ],
)
def test_why_nothing_is_counted_is_one_line(answer: Any, why: str) -> None:
    with pytest.raises(NotAnswered) as error:
        counting(answer).by_schema([DAY])

    assert error.value.exit_code == 3
    assert error.value.message.startswith("POST /metrics: ")
    assert why in error.value.message


def test_an_answer_that_may_have_been_cut_is_asked_for_in_parts_and_at_last_given_up() -> None:
    many = results(*(group(value=str(n)) for n in range(300)))

    with pytest.raises(NotAnswered, match="the answer has 300 figures, and may have been cut short there"):
        counting(many).by_schema([DAY])


def test_togais_days_are_looked_into_on_a_day_that_has_events() -> None:
    def answer(body: Any) -> Any:
        has_some = body["startTime"] >= "2026-11-21" or body["endTime"] > "2026-11-21T00:00:00Z"
        counts = (1 if has_some else 0,)
        return results(group(moments=("2026-11-20T18:30:00Z",), counts=counts))(body)

    with pytest.raises(NotAnswered, match="Togai's days begin at 18:30 UTC, and it counts whole ones"):
        counting(answer).by_schema([DAY, DAY + timedelta(days=1)])

    nothing = results(group(moments=("2026-11-19T18:30:00Z",), counts=(0,)))
    with pytest.raises(NotAnswered, match="Togai's days begin at 18:30 UTC"):
        counting(nothing).by_schema([DAY])


def test_where_togai_has_no_time_it_is_asked_again_and_the_rate_is_kept() -> None:
    togai = Togai(Reply(429, b"{}", retry_after=4.0), Reply(None, error="no reply"), {"events": []})

    assert records_of(togai.client(), "a b/c") == []
    assert [path for path, _ in togai.asked] == ["/events/a%20b%2Fc"] * 3
    assert togai.paused == [4.0, pytest.approx(0.1), 1.0, pytest.approx(0.2)]


def test_pages_without_end_and_pages_in_a_circle_are_given_up() -> None:
    numbers = iter(range(100))
    without_end = Togai(lambda _: {"events": [], "nextToken": str(next(numbers))})
    with pytest.raises(NotAnswered, match="GET /events: there are more than 7 pages, which are not all read"):
        list(pages(without_end.client(), 7))

    for token in ("a", 5):
        circle = Togai({"events": [], "nextToken": token})
        with pytest.raises(NotAnswered, match="GET /events: Togai's pages lead nowhere"):
            list(pages(circle.client(), 7))


def test_a_list_that_is_none_and_a_question_that_is_refused_are_told() -> None:
    with pytest.raises(NotAnswered, match="not as Togai documents it: events is no list of objects"):
        list(pages(Togai({"events": [5]}).client(), 7))
    with pytest.raises(NotAnswered, match="GET /events: Togai refuses the question: status: is not known"):
        list(pages(Togai(Reply(400, b'{"message": "status: is not known"}')).client(), 7))
    assert list(pages(Togai(Reply(404, b"{}")).client(), 7)) == []


def test_a_record_without_what_togai_documents_is_one_of_unknown_status() -> None:
    [record] = records_of(Togai({"events": [{"ingestionStatus": {"status": "\x1b[2J"}}]}).client(), "a")

    assert (record.id, record.status, record.day(of_receipt=True)) == ("", "UNKNOWN", None)


def test_a_session_that_cannot_be_made_and_a_key_that_cannot_be_read_are_told() -> None:
    with pytest.raises(NotAnswered, match="session_factory raised"):
        records_of(Togai(NoSession("session_factory raised OSError")).client(), "a")

    def no_key() -> str:
        raise OSError("the vault")

    togai = Togai({})
    with (
        pytest.raises(NotAnswered, match="the api_key callable raised OSError"),
        togai_asked(Config.load({}, api_key=no_key), 5, lambda _: togai),  # type: ignore[arg-type,return-value]
    ):
        pass
    assert togai.asked == [("closed", None)]


def test_a_key_without_rights_is_told_in_a_line_and_nothing_is_said_of_the_day(scene: Scene) -> None:
    scene.togai.may_look_up = False

    result = scene.run(*ALONE, "--expect", scene.expect((DAY, "api_call", 1)))

    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == "Error: POST /metrics: the key may not look this up (403)\n"


def test_a_gateway_in_place_of_togai_is_told_in_a_line(scene: Scene) -> None:
    counts = scene.expect((DAY, "api_call", 1))
    scene.togai.script_lookups(faults.Html(200))

    result = scene.run(*ALONE, "--expect", counts)
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == "Error: POST /metrics: a page that is not Togai's\n"

    result = scene.run(*ALONE, "--expect", counts, TOGAI_BASE_URL=f"{scene.togai.url}/v2")
    assert (result.exit_code, result.stdout) == (3, "")


def test_where_events_cannot_be_listed_the_counts_stand_and_that_is_said(scene: Scene) -> None:
    scene.togai.schemas = ["api_call"]
    scene.receive([event("a"), event("b", "api_cal")])
    scene.togai.on_lookup = lambda request: faults.Refuse(403) if request.method == "GET" else None
    rows = scene.expect((DAY, "api_call", "a"), (DAY, "api_cal", "b"), columns="day,schema,id")

    result = scene.run(*ALONE, "--expect", rows)

    assert result.exit_code == 1
    assert "others are not known by name: GET /events: the key may not look this up (403)" in " ".join(
        result.stdout.split()
    )

    result = scene.run("--expect", rows)
    assert result.exit_code == 1
    result = scene.run("--expect", scene.expect((DAY, "api_call", "a"), columns="day,schema,id"))
    assert result.exit_code == 3, "others may send, and no id was looked up"


def test_more_events_than_a_page_holds_are_named_by_their_status(scene: Scene) -> None:
    scene.togai.schemas = ["api_call"]
    scene.receive(event(f"wrong-{n}", "api_cal") for n in range(PAGE + 1))
    scene.receive([event("of the day before", "api_cal", when=at(DAY - timedelta(days=1)))])
    rows = scene.expect(*((DAY, "api_cal", f"wrong-{n}") for n in range(PAGE + 1)), columns="day,schema,id")
    out = scene.folder / "unbilled.csv"

    assert scene.run(*ALONE, "--expect", rows, "--ids", str(out)).exit_code == 1
    assert out.read_text().count("wrong-") == PAGE + 1


@pytest.mark.parametrize(("count", "is_named"), [(3, True), (MOST_ALONE + 1, False)])
def test_where_togai_lists_none_by_a_400_a_few_are_looked_up_by_themselves(
    scene: Scene, *, count: int, is_named: bool
) -> None:
    scene.togai.unknown_event = 400
    lost = scene.expect(*((DAY, "b", f"lost-{n}") for n in range(count)), columns="day,schema,id")
    scene.receive([event("a")])

    out = scene.folder / "missing.csv"
    result = scene.run(*ALONE, "--expect", lost, "--ids", str(out))

    assert result.exit_code == 1
    named = out.read_text().count("lost-") if out.exists() else 0
    assert named == (count if is_named else 0)
    assert ("are not known by name" in " ".join(result.stdout.split())) is not is_named


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "line 1: must name the columns day, schema, perhaps account, and count or id"),
        ("day,schema\n", "line 1: must name the columns"),
        ("day,schema,count,id\n", "line 1: must name the columns"),
        ("day,schema,count,note\n", "line 1: must name the columns"),
        ("day,schema,count\n", "has no row"),
        ("day,schema,count\n2026-11-20,a\n", "line 2: has not as many values as line 1 has columns"),
        ("day,schema,count\n2026-11-20,a,1,2\n", "line 2: has not as many values as line 1 has columns"),
        (
            "day,schema,count\n2026-11-20T00:00+05:30,a,1\n",
            "line 2: day: must be a day of UTC such as 2026-11-28",
        ),
        ("day,schema,count\n20.11.2026,a,1\n", "line 2: day: must be a day of UTC"),
        ("day,schema,count\n2026-02-30,a,1\n", "line 2: day: there is no such day"),
        ("day,schema,count\n2026-11-20,,1\n", "line 2: schema: must be the name of an event schema"),
        ("day,schema,count\n2026-11-20,a ,1\n", "line 2: schema: must be the name of an event schema"),
        ("day,schema,count\n2026-11-20,a,1.5\n", "line 2: count: must be a whole number"),
        ("day,schema,count\n2026-11-20,a,-1\n", "line 2: count: must be a whole number"),
        ("day,schema,count\n2026-11-20,a,\u0665\n", "line 2: count: must be a whole number"),
        ("day,schema,id\n2026-11-20,a,\n", "line 2: id: must have 1 to 512 characters"),
        ("day,schema,id\n2026-11-20,a,x\n2026-11-20,a,x\n", "line 3: id: is that of line 2, too"),
        ('day,schema,count\n2026-11-20,"a,1\n', "is no CSV"),
    ],
)
def test_a_bad_row_is_told_with_its_line_before_anything_is_asked(scene: Scene, text: str, why: str) -> None:
    path = scene.folder / "expected.csv"
    path.write_text(text)

    result = scene.run(*ALONE, "--expect", str(path))

    assert result.exit_code == 2
    assert f"{path}: " in result.stderr
    assert why in result.stderr
    assert scene.looked_up() == []


def test_a_file_that_is_no_text_is_told(scene: Scene) -> None:
    path = scene.folder / "expected.csv"
    path.write_bytes(b"\xff\xfe")

    assert "is no CSV" in scene.run("--expect", str(path)).stderr


def test_names_that_togai_does_not_know_are_missing_and_days_that_nobody_asked_about_are_left_out(
    scene: Scene,
) -> None:
    scene.receive([event("a")])
    counts = scene.expect((DAY, "api_call", 1), (DAY, "api_cal", 2), ("2026-11-25", "api_call", 9))

    result = scene.run(*ALONE, "--expect", counts)
    assert result.exit_code == 1
    assert result.stdout.endswith("NOT BALANCED: 2 events not billed\n")

    result = scene.run(*ALONE, "--expect", scene.expect(("2026-11-25", "api_call", 9)))
    assert result.exit_code == 3
    assert "our side knows of no event of these days" in result.stdout


def test_a_file_of_ids_is_not_written_over_another(scene: Scene) -> None:
    scene.receive([event("a")])
    (scene.folder / "ids").write_text("mine")

    result = scene.run(
        *ALONE, "--expect", scene.expect((DAY, "api_call", 1)), "--ids", str(scene.folder / "ids")
    )

    assert result.exit_code == 1
    assert "already exists, and is not overwritten" in result.stderr
    assert (scene.folder / "ids").read_text() == "mine"

"""``togai-shipper reconcile`` against the sandbox: what is said, and in how many requests."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from click.testing import CliRunner
from scene import DAY, Scene, at, event

from togai_shipper.cli.app import cli

ALONE = ("--sole-sender", "--day-rule", "event")


def test_a_day_on_which_both_sides_agree_is_balanced_in_one_request(scene: Scene) -> None:
    scene.receive(event(f"e-{n}") for n in range(50))

    result = scene.run(*ALONE, "--expect", scene.expect((DAY, "api_call", 50)))

    assert result.exit_code == 0, result.output
    assert result.stdout.endswith("\nBALANCED: 50 events tracked, delivered, processed and metered\n")
    assert scene.looked_up() == ["POST /metrics"]
    assert "secret" not in result.output


def test_a_hundred_schemas_take_no_more_than_five_requests(scene: Scene) -> None:
    schemas = [f"schema {n}" for n in range(100)]
    scene.receive(event(f"e-{schema}", schema) for schema in schemas)

    result = scene.run(*ALONE, "--expect", scene.expect(*((DAY, schema, 1) for schema in schemas)))

    assert result.exit_code == 0, result.output
    assert len(scene.looked_up()) <= 5


def test_a_month_of_twenty_schemas_is_asked_for_in_pieces_that_togai_answers_whole(scene: Scene) -> None:
    first = DAY.replace(month=10, day=1)
    days = [first + timedelta(days=n) for n in range(31)]
    schemas = [f"schema {n}" for n in range(20)]
    scene.receive(event(f"{schema} {day}", schema, when=at(day)) for schema in schemas for day in days)
    counts = scene.expect(*((day, schema, 1) for schema in schemas for day in days))

    result = scene.run(*ALONE, "--month", "2026-10", "--expect", counts, day=None)

    assert result.exit_code == 0, result.output
    assert "Usage of 2026-10-01 to 2026-10-31 (UTC" in result.stdout
    assert len(scene.looked_up()) <= 16


def test_a_mistyped_schema_and_a_lost_event_are_told_with_what_helps(scene: Scene) -> None:
    scene.togai.schemas = ["api_call"]
    scene.receive([event("a-1"), *(event(f"s-{n}", "storag") for n in range(4))])

    result = scene.run(
        *ALONE,
        "--expect",
        scene.expect((DAY, "api_call", 2), (DAY, "storag", 4)),
        "--ids",
        str(scene.folder / "ids"),
    )

    assert result.exit_code == 1
    assert "4  storag: INGESTION_FAILED_SCHEMA_NOT_DEFINED" in result.stdout
    assert "with account_id and event_id" in " ".join(result.stdout.split())
    assert result.stdout.endswith("\nNOT BALANCED: 5 events not billed\n")
    written = [json.loads(line) for line in (scene.folder / "ids").read_text().splitlines()]
    assert [(each["id"], each["account"], each["status"]) for each in written] == [
        (f"s-{n}", "acme", "INGESTION_FAILED_SCHEMA_NOT_DEFINED") for n in range(4)
    ]


def test_three_lost_and_forty_unbilled_of_20340_are_named_in_ten_requests(scene: Scene) -> None:
    ids = [(f"e-{n}", f"account {n % 339}") for n in range(20_340)]
    lost = {"e-7", "e-346", "e-20006"}
    wrong = {event_id for event_id, account in ids if account == "account 9"} - lost
    wrong = set(sorted(wrong)[:40])
    scene.togai.ends_in = lambda each: "INGESTION_FAILED_UNITS_INVALID" if each["id"] in wrong else None
    scene.receive(event(event_id, account=account) for event_id, account in ids if event_id not in lost)
    rows = scene.expect(
        *((DAY, "api_call", account, each) for each, account in ids), columns="day,schema,account,id"
    )

    result = scene.run(*ALONE, "--expect", rows, "--json")

    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert {each["id"] for each in told["events"] if each["status"] == "missing"} == lost
    assert {each["id"] for each in told["events"] if each["status"] != "missing"} == wrong
    assert told["unbilled"] == {"unprocessed": 40, "missing": 3}
    assert told["requests"] == len(scene.looked_up()) <= 10


def test_without_ids_or_a_sole_sender_it_cannot_be_told(scene: Scene) -> None:
    scene.receive(event(f"e-{n}") for n in range(5))

    result = scene.run("--day-rule", "event", "--expect", scene.expect((DAY, "api_call", 5)))

    assert result.exit_code == 3
    assert "somebody else may send events to this account, too" in result.stdout
    assert result.stdout.endswith("\nCANNOT TELL: it is open of 5 events\n")


def test_what_others_have_sent_is_told_in_a_file(scene: Scene) -> None:
    scene.receive(event(f"e-{n}") for n in range(5))
    ours, others = scene.expect((DAY, "api_call", 3)), scene.expect((DAY, "api_call", 2), name="others.csv")

    assert scene.run("--day-rule", "event", "--expect", ours, "--others", others).exit_code == 0


def test_the_very_ids_prove_a_day_whoever_else_sends_and_by_whichever_day_togai_counts(scene: Scene) -> None:
    scene.receive(event(f"e-{n}") for n in range(120))
    scene.receive([event("theirs"), event("other", "unknown here")])
    rows = scene.expect(*((DAY, "api_call", f"e-{n}") for n in range(120)), columns="day,schema,id")

    assert scene.run("--expect", rows).exit_code == 0

    rows = scene.expect(*((DAY, "api_call", f"e-{n}") for n in range(121)), columns="day,schema,id")
    result = scene.run("--expect", rows)
    assert result.exit_code == 1
    assert "e-120" in result.stdout


def test_a_day_that_ended_less_than_24_hours_ago_is_not_balanced_yet(scene: Scene) -> None:
    day = scene.now.date() - timedelta(days=1)
    scene.receive([event("e", when=at(day))])

    result = scene.run(*ALONE, "--expect", scene.expect((day, "api_call", 1)), day=day)
    assert result.exit_code == 3
    assert f"{day} ended less than 24 hours ago" in result.stdout

    result = scene.run(*ALONE, "--expect", scene.expect((day, "api_call", 2)), day=day)
    assert result.exit_code == 3
    assert "1  Togai may not show them yet" in result.stdout


def test_it_matters_by_which_day_togai_counts_and_that_has_to_be_said(scene: Scene) -> None:
    scene.receive([event("e")])
    counts = scene.expect((DAY, "api_call", 1))

    assert scene.run("--sole-sender", "--expect", counts).exit_code == 3
    assert scene.run("--sole-sender", "--expect", counts, TOGAI_DAY_RULE="event").exit_code == 0
    assert scene.run("--expect", counts, TOGAI_DAY_RULE="event", TOGAI_SOLE_SENDER="1").exit_code == 0


def test_by_the_day_of_receipt_what_a_midnight_has_moved_is_balanced_and_what_is_lost_is_not(
    scene: Scene,
) -> None:
    before, after = DAY - timedelta(days=1), DAY + timedelta(days=1)
    scene.togai.day_rule = "receipt"
    scene.receive([event(f"e-{n}") for n in range(10)])
    scene.receive([event("late", when=at(DAY, 23.99))], at(after, 0.01))
    counts = scene.expect((before, "api_call", 0), (DAY, "api_call", 11), (after, "api_call", 0))
    rule = ("--sole-sender", "--day-rule", "receipt", "--expect")

    assert scene.run(*rule, counts).exit_code == 0

    counts = scene.expect((before, "api_call", 0), (DAY, "api_call", 12), (after, "api_call", 0))
    assert scene.run(*rule, counts).exit_code == 1


def test_where_single_statuses_are_not_counted_metering_is_not_told(scene: Scene) -> None:
    scene.togai.raw_statuses = False
    scene.receive(event(f"e-{n}") for n in range(5))
    counts = scene.expect((DAY, "api_call", 5))

    result = scene.run(*ALONE, "--expect", counts)
    assert result.exit_code == 3
    assert "processed (metering unknown)" in result.stdout

    assert scene.run(*ALONE, "--expect", counts, "--free", "api_call").exit_code == 0


def test_in_another_zone_the_range_is_counted_where_togai_counts_it_exactly(scene: Scene) -> None:
    scene.togai.day_zone = "Asia/Kolkata"  # type: ignore[assignment]  # its converter takes names
    scene.receive([event("a", when=at(DAY, 1)), event("b", when=at(DAY, 23)), event("c", when=at(DAY, 25))])
    counts = scene.expect((DAY, "api_call", 2))

    assert scene.run(*ALONE, "--expect", counts).exit_code == 0

    scene.togai.whole_periods = True
    result = scene.run(*ALONE, "--expect", counts)
    assert result.exit_code == 3
    assert result.output.startswith("Error: POST /metrics: Togai's days begin at 18:30 UTC")


def test_another_accounts_key_is_not_called_missing(scene: Scene) -> None:
    result = scene.run(*ALONE, "--expect", scene.expect((DAY, "api_call", 5)))

    assert result.exit_code == 3
    assert "are they of another account than the key?" in " ".join(result.stdout.split())

    ids = scene.expect((DAY, "api_call", "a"), (DAY, "api_call", "b"), columns="day,schema,id")
    for arguments in (ALONE, ()):
        result = scene.run(*arguments, "--expect", ids)
        assert result.exit_code == 3
        assert "CANNOT TELL: it is open of 2 events" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((), "nothing to compare with"),
        (("/nowhere",), "/nowhere: cannot be read"),
        (("--expect", "/nowhere.csv"), "/nowhere.csv: cannot be read: No such file"),
        (("--day", "2026-13-01"), "--day: must be such as 2026-11-28, and exist"),
        (("--day", "0001-01-01"), "--day: must be such as 2026-11-28, and exist"),
        (("--day", "2031-01-01"), "2031-01-01: has not begun yet, in UTC"),
        (("--day", "2026-11-20", "--month", "2026-11"), "--day and --month: give one of them"),
        (("--month", "11/2026"), "--month: must be such as 2026-11, and exist"),
    ],
)
def test_wrong_usage_is_a_line_and_exit_status_2(scene: Scene, arguments: tuple[str, ...], why: str) -> None:
    result = scene.run(*arguments, day=None)

    assert result.exit_code == 2, result.output
    assert why in result.stderr
    assert scene.looked_up() == []


def test_a_key_that_is_missing_is_wrong_usage(scene: Scene) -> None:
    result = CliRunner(env={"TOGAI_API_KEY": ""}).invoke(
        cli, ["reconcile", "--expect", scene.expect((DAY, "api_call", 5))]
    )
    assert (result.exit_code, result.stdout) == (2, "")
    assert "api_key: missing" in result.stderr


def test_without_a_day_it_is_the_last_that_can_be_proven(scene: Scene) -> None:
    day = scene.now.date() - timedelta(days=2)
    scene.receive([event("a", when=at(day))])

    result = scene.run(*ALONE, "--expect", scene.expect((day, "api_call", 1)), day=None)

    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage of {day} (UTC")


def test_an_account_that_togai_does_not_know_is_looked_through_by_its_pages(scene: Scene) -> None:
    scene.togai.accounts, scene.togai.unknown_names = ["acme"], "refuse"
    scene.receive([event("a"), event("b", account="umbra")])
    rows = (DAY, "api_call", "acme", "a"), (DAY, "api_call", "umbra", "b"), (DAY, "api_call", "umbra", "c")

    result = scene.run(*ALONE, "--expect", scene.expect(*rows, columns="day,schema,account,id"))

    assert result.exit_code == 1
    assert "INGESTION_FAILED_ACCOUNT_NOT_FOUND\n    b " in result.stdout
    assert "  missing\n    c " in result.stdout


def test_of_many_events_that_are_not_billed_a_few_are_shown(scene: Scene) -> None:
    scene.togai.schemas = []
    scene.receive(event(f"e-{n}", "storage") for n in range(60))

    result = scene.run(*ALONE, "--expect", scene.expect((DAY, "storage", 60)))

    assert "    and 55 more\n" in result.stdout


def test_an_answer_that_may_be_too_long_is_asked_for_day_by_day(scene: Scene) -> None:
    days = [DAY.replace(day=1) + timedelta(days=n) for n in range(20)]
    scene.receive(event(f"{n} {day}", f"schema {n}", when=at(day)) for n in range(40) for day in days)
    counts = scene.expect(*((day, "schema 0", 1) for day in days))

    result = scene.run("--day-rule", "event", "--month", "2026-11", "--expect", counts, "--json", day=None)

    assert result.exit_code == 3
    told = json.loads(result.stdout)
    assert sum(each["metered"] for each in told["cells"]) == 40 * 20
    assert told["requests"] <= 40


def test_what_is_in_progress_is_open_also_where_single_statuses_are_not_counted(scene: Scene) -> None:
    scene.receive([event("a")])
    scene.togai.settle_after = 9e9

    for scene.togai.raw_statuses in (True, False):
        result = scene.run(*ALONE, "--expect", scene.expect((DAY, "api_call", 1)))
        assert result.exit_code == 3
        assert "1  in progress, corrected, or unknown to Togai itself" in result.stdout

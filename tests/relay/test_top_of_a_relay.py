"""``togai-shipper top`` with a relay's URL in the place of a directory."""

from __future__ import annotations

import json

from servers import needs_redis
from stocked import Relay, command, letter

from togai_shipper._engine.self_report import SelfReport
from togai_shipper.cli.doctor import relay_checks
from togai_shipper.cli.formats import now_ms
from togai_shipper.cli.spool.relay_view import relay_lines
from togai_shipper.cli.top.command import Pause
from togai_shipper.cli.top.relay_looking import RelayLook
from togai_shipper.relay.link import Link
from togai_shipper.relay.survey import RENEWED_WITHIN, Leader, Survey, facts

pytestmark = needs_redis
AT_ONCE = Pause(lambda: 0.0, lambda stop, seconds: False)


def top(relay: Relay, *options: str) -> str:
    result = command("top", "--once", *options, relay.url, obj=AT_ONCE)
    assert result.exit_code == 0, result.output
    return str(result.stdout)


def test_a_relay_has_one_line_and_who_drains_it_stands_below(relay: Relay) -> None:
    relay.hand_over("a", "b")
    relay.bury(letter("c"))

    text = " ".join(top(relay).split())

    assert "unwell relay togai" in text
    assert "relay togai is unwell: nobody drains it; 2 events wait" in text
    assert "togai-shipper top" not in text, "that is what is looked at"
    assert f"drained by nobody togai-shipper drain {relay.url}" in text
    assert "1 dead letter" in text


def test_what_comes_in_and_goes_out_is_told_as_rates(relay: Relay) -> None:
    relay.hand_over("a", "b")

    found = json.loads(top(relay, "--json"))

    (process,) = found["processes"]
    assert process["since"] is None
    assert (process["standing"], process["pending"], process["counts"]["accepted"]) == ("unwell", 2, 2)
    assert process["in_per_second"] == 0.0
    assert found["total"]["pending"] == 2


def test_an_empty_relay_is_well(relay: Relay) -> None:
    assert json.loads(top(relay, "--json"))["processes"][0]["standing"] == "ok"


def test_a_lease_that_is_renewed_while_somebody_looks_is_a_drainer_s(relay: Relay) -> None:
    relay.hand_over("a")
    relay.lead("host/1/2")
    now = 0.0
    look = RelayLook(relay.url, "togai", lambda: now)
    before = look.look()
    relay.link.lease("renew", "host/1/2")
    drained = look.look()
    now = RENEWED_WITHIN + 1
    after = look.look()

    found = [each.processes[0].report for each in (before, drained, after)]
    assert [report and report.is_healthy for report in found] == [False, True, False]
    assert drained.remarks == ("drained by host/1/2",)


def test_connected_drainers_are_named(relay: Relay) -> None:
    relay.hand_over("a")
    relay.lead("host/1/2")
    links = [Link(relay.url, "togai", client_name=f"togai-drain:host/{number}/2") for number in (1, 3)]
    for link in links:
        link.length()

    sight = RelayLook(relay.url, "togai", lambda: 0.0).look()
    for link in links:
        link.close()

    assert sight.remarks == ("drained by host/1/2; stand by: host/3/2",)


def test_a_relay_that_does_not_answer_is_a_problem_at_each_look() -> None:
    result = command("top", "--once", "--json", "redis://:sesame-open@127.0.0.1:1", obj=AT_ONCE)

    found = json.loads(result.stdout)
    assert (result.exit_code, found["processes"]) == (1, [])
    assert "no relay" in found["problems"][0]
    assert "sesame-open" not in result.output


def test_somebody_else_s_keys_are_a_problem(relay: Relay) -> None:
    relay.redis.set("{togai}:events", "x")

    assert RelayLook(relay.url, "togai", lambda: 0.0).look().problems == (
        "{togai}:events is a string: somebody else uses this name",
    )


def test_a_drainer_that_is_parked_is_told_by_top_doctor_and_ls(relay: Relay) -> None:
    relay.hand_over("a")
    relay.lead("host/1/2")
    report = SelfReport(
        at_ms=now_ms(), since_ms=now_ms(), state="parked", is_by_key=True, why="parked: no such key"
    )
    relay.link.note_report("host/1/2", report.as_text())
    look = RelayLook(relay.url, "togai", lambda: 0.0)
    look.look()
    relay.link.lease("renew", "host/1/2")

    _, drainer = look.look().processes
    found = Survey(leader=Leader("host/1/2", is_alive=True), facts=facts(relay.link))
    (check, *_) = relay_checks.drained(found, now_ms() / 1000)
    lines = [*relay_lines("URL", "togai", found, now_ms())]

    assert (drainer.name, drainer.report) == ("host/1/2", report)
    assert (check.level, check.found) == ("fail", "host/1/2 is parked for 0 s: no such key")
    assert "Start it anew with a good key" in check.advice
    assert "togai-shipper doctor --check-key" in check.advice
    assert "host/1/2 is parked for 0 s: no such key." in lines


def test_a_drainer_s_events_that_wait_for_long_are_a_warning() -> None:
    report = SelfReport(at_ms=now_ms(), since_ms=now_ms(), is_healthy=False, why="no reply: x")
    said = {"report": f"host/1/2\n{report.as_text()}"}

    (check, *_) = relay_checks.drained(
        Survey(leader=Leader("host/1/2", is_alive=True), facts=said), now_ms() / 1000
    )
    (another, *_) = relay_checks.drained(
        Survey(leader=Leader("host/3/4", is_alive=True), facts=said), now_ms() / 1000
    )

    assert (check.level, another.level) == ("warn", "ok")


def test_what_a_drainer_has_in_memory_is_the_relay_s_and_counts_once(relay: Relay) -> None:
    relay.hand_over("a", "b")
    relay.lead("host/1/2")
    report = SelfReport(at_ms=now_ms(), since_ms=now_ms(), pending=2)
    relay.link.note_report("host/1/2", report.as_text())
    link = Link(relay.url, "togai", client_name="togai-drain:host/1/2")
    link.length()

    found = json.loads(top(relay, "--json"))
    link.close()

    assert [process["pending"] for process in found["processes"]] == [2, 2]
    assert found["total"]["pending"] == 2

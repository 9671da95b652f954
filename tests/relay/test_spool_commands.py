"""``togai-shipper spool ...`` with a relay's URL in the place of a directory."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import attrs
import pytest
from servers import needs_redis
from stocked import BASE, Relay, command, event, letter

from togai_shipper.cli.spool.change_request import ChangeState, WaitClock
from togai_shipper.cli.spool.relay_changes import RelayChange
from togai_shipper.cli.spool.relay_reader import Key, RelayReader
from togai_shipper.cli.spool.relay_view import relay_lines
from togai_shipper.relay.dead_letters import DeadLetters
from togai_shipper.relay.entries import fields_of, read
from togai_shipper.relay.link import Link
from togai_shipper.relay.survey import Survey

pytestmark = needs_redis
GONE = "redis://:sesame-open@127.0.0.1:1"


class Quick:
    """Time that passes as soon as somebody waits for it."""

    def __init__(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        self.now = 0.0
        self.meanwhile = meanwhile

    def pause(self, seconds: float) -> None:
        self.now += seconds
        self.meanwhile()

    def clock(self) -> WaitClock:
        return WaitClock(lambda: self.now, self.pause)


def waiting(relay: Relay) -> list[list[bytes]]:
    return [[*read(*each).events] for each in relay.link.read("0", 100)]


def test_ls_says_that_nothing_was_ever_handed_over(relay: Relay) -> None:
    result = relay.spool("ls")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"{relay.url}: nothing was ever handed over under the name togai.\n"
    assert json.loads(relay.spool("ls", "--json").stdout)["events"] == 0
    assert relay.redis.keys() == []


def test_ls_says_what_the_relay_holds_and_for_whom(relay: Relay) -> None:
    relay.hand_over("a", "b")
    relay.bury(letter("c"), letter("d"), letter("e", "past dedupe window", days=41))
    lines = relay.spool("ls").stdout.splitlines()
    assert lines[:3] == [
        "entries     1",
        "events      2",
        "bytes       " + lines[2].split(" ", 6)[-1].strip(),
    ]
    for line in (
        "in          2 events, ever",
        "lost        none known",
        f"base URL    {BASE}",
        "key         none has drained it yet",
        "drained by  nobody",
        "Dead letters: 2 rejected, 1 past dedupe window; times are UTC.",
        f"  togai-shipper spool dead {relay.url}",
        "2 events wait, and nobody drains. Start a drainer:",
        f"  togai-shipper drain {relay.url}",
    ):
        assert line in lines
    facts = json.loads(relay.spool("ls", "--json").stdout)
    assert (facts["entries"], facts["events"], facts["in"], facts["dead"]) == (1, 2, 2, 3)
    assert facts["dead_by_reason"] == {"rejected": 2, "past dedupe window": 1}
    assert (facts["leader"], facts["base_url"], facts["problems"]) == (None, BASE, [])


def test_ls_names_who_drains_who_stands_by_and_what_was_lost(relay: Relay) -> None:
    relay.lead("host/1/2")
    relay.redis.hset("{togai}:relay", "lost", 7)
    named = [
        Link(relay.url, "togai", client_name=f"togai-drain:{owner}") for owner in ("host/1/2", "other/3/4")
    ]
    assert [link.length() for link in named] == [0, 0]
    text = command("spool", "ls", relay.url, obj=Quick().clock()).stdout
    assert "key         fingerprint deadbeef\n" in text
    assert "drained by  nobody: host/1/2 has not renewed its lease for 4 s\n" in text
    assert "stand by    other/3/4\n" in text
    assert "lost        7: they were in the stream when it was deleted or trimmed\n" in text


def test_ls_tells_a_key_that_is_only_tried_from_one_that_has_drained(relay: Relay) -> None:
    relay.link.lease("take", "host/1/2", fingerprint="deadbeef", base_url=BASE)
    time = Quick()
    assert (
        "key         none has drained it yet\n" in command("spool", "ls", relay.url, obj=time.clock()).stdout
    )
    relay.link.tell_key("try", "host/1/2", "deadbeef")
    text = command("spool", "ls", relay.url, obj=time.clock()).stdout
    assert "key         none has drained it yet; deadbeef is tried\n" in text
    facts = json.loads(relay.spool("ls", "--json").stdout)
    assert (facts["key_fingerprint"], facts["tried_key_fingerprint"]) == (None, "deadbeef")


def test_ls_says_that_the_drainer_is_there_once_its_lease_is_renewed(relay: Relay) -> None:
    relay.lead("host/1/2")
    time = Quick(meanwhile=lambda: relay.link.lease("renew", "host/1/2"))
    assert "drained by  host/1/2\n" in command("spool", "ls", relay.url, obj=time.clock()).stdout
    assert time.now < 1


def test_ls_says_which_name_somebody_else_uses(relay: Relay) -> None:
    relay.redis.set("{togai}:events", "x")
    result = relay.spool("ls")
    assert result.stdout == f"{{togai}}:events is a string: somebody else uses this name in {relay.url}.\n"
    assert json.loads(relay.spool("ls", "--json").stdout)["problems"] == ["{togai}:events is a string"]


def test_dead_letters_are_listed_chosen_and_shown(relay: Relay) -> None:
    relay.bury(letter("a"), letter("b", "past dedupe window", days=41))
    relay.redis.hset("{togai}:dead", "c", "no letter")
    text = relay.spool("ls", "--dead").stdout
    assert "a  api_call for acme\n  rejected (400), 20" in text
    assert "c  what it was cannot be read\n  corrupt\n  no letter of ours: it is no JSON\n" in text
    assert text.endswith("\n3 dead letters.\n")
    assert (
        "1 dead letter."
        in relay.spool("ls", "--dead", "--older-than", "40d", "--reason", "past dedupe window").stdout
    )

    shown = json.loads(command("spool", "show", "--json", "a", relay.url).stdout)
    assert (shown["key"], shown["reason"], shown["event"]["id"]) == ("{togai}:dead", "rejected", "a")


def test_a_pending_event_is_shown_with_its_entry(relay: Relay) -> None:
    relay.hand_over("a", "b")
    ((entry_id, _),) = relay.link.read("0", 1)
    text = command("spool", "show", "b", relay.url).stdout
    assert text.startswith("b is pending: it will be sent\n")
    assert f"  key       {{togai}}:events {entry_id}, number 2\n" in text
    missing = command("spool", "show", "z", relay.url)
    assert (missing.exit_code, missing.stderr) == (1, f"Error: {relay.url}: no event 'z' is here\n")


def test_a_replay_puts_letters_back_into_the_stream_once(relay: Relay) -> None:
    relay.hand_over("x")
    relay.bury(letter("a"), letter("b", days=3), letter("old", days=41))
    relay.redis.hset("{togai}:dead", "c", "no letter")
    result = relay.spool("replay")
    assert result.stdout.splitlines() == [
        "2 dead letters are pending again.",
        "1 left: accepted over 40 days ago. Those that Togai has may be billed again.",
        "If Togai has none of them, replay them with --past-dedupe-window.",
        "1 left: damaged on disk (reason corrupt); these are never sent.",
    ]
    # Accepted more than a day apart, they are two entries.
    assert [len(each) for each in waiting(relay)] == [1, 1, 1]
    again = relay.spool("replay")
    assert again.stdout.startswith("No dead letter matches.\n")
    assert (relay.link.facts()["events"], relay.link.facts()["dead"]) == ("3", "2")


def test_past_the_window_a_letter_is_replayed_only_when_asked_for_and_as_new(relay: Relay) -> None:
    relay.hand_over("x")
    relay.bury(letter("old", days=41), letter("given-up", "past dedupe window"))
    assert json.loads(relay.spool("replay", "--json").stdout)["left"] == {"past dedupe window": 2}
    facts = json.loads(relay.spool("replay", "--json", "--past-dedupe-window").stdout)
    assert (facts["replayed"], facts["failed"], facts["left"]) == (2, 0, {})
    (_, (_, fields)) = relay.link.read("0", 9)
    assert int(fields[b"t"]) > letter("now", days=1).accepted_ms


def test_what_another_operator_has_replayed_meanwhile_is_told(relay: Relay) -> None:
    relay.hand_over("x")
    relay.bury(letter("a"), letter("b"))
    change = RelayChange(DeadLetters(relay.link), Key("{togai}:dead"), "replay", letter("b").dead_ms)
    relay.redis.hdel("{togai}:dead", "a")
    done, failed = change.run([b"a", b"b"])
    assert (done.state, done.count, failed.state, failed.count) == (
        ChangeState.DONE,
        1,
        ChangeState.FAILED,
        1,
    )
    assert "another operator" in failed.why


def test_large_letters_become_several_entries(relay: Relay) -> None:
    relay.hand_over("x")
    for number in range(3):
        body = event(f"{number}").replace(
            b'"region":"eu"',
            b'"region":"eu",' + b",".join(b'"d%d":"%s"' % (n, b"x" * 190) for n in range(3000)),
        )
        relay.bury(letter(f"{number}", body=body))
    assert relay.spool("replay").stdout == "3 dead letters are pending again.\n"
    assert [len(each) for each in waiting(relay)] == [1, 1, 1, 1]


def test_a_full_redis_refuses_a_replay_and_not_a_purge(relay: Relay) -> None:
    relay.hand_over("x")
    relay.bury(letter("a"))
    relay.redis.config_set("maxmemory", 1)
    result = relay.spool("replay")
    assert result.exit_code == 1
    assert result.stdout == "{togai}:dead: 1 dead letter unchanged: Redis has no memory left\n"
    assert relay.spool("purge", "--all", "--yes").stdout == "1 dead letter is deleted.\n"


def test_letters_are_purged_by_what_chooses_them(relay: Relay) -> None:
    relay.bury(letter("a"), letter("b", "past dedupe window"))
    relay.redis.hset("{togai}:dead", b"c\xff", "no letter")
    assert relay.spool("purge", "--yes", "--reason", "corrupt").stdout == "1 dead letter is deleted.\n"
    assert relay.spool("purge", "--yes", "--id", "a").stdout == "1 dead letter is deleted.\n"
    assert relay.redis.hkeys("{togai}:dead") == [b"b"]


def test_letters_and_pending_events_are_exported(relay: Relay, tmp_path: Path) -> None:
    relay.hand_over("x", "y")
    relay.bury(letter("a"))
    (line,) = relay.spool("export").stdout.splitlines()
    assert json.loads(line)["id"] == "a"
    relay.spool("export", "--pending", "--output", tmp_path / "pending")
    ids = [json.loads(line)["id"] for line in (tmp_path / "pending").read_text().splitlines()]
    assert ids == ["x", "y"]


def test_verify_reads_all_and_names_what_is_not_ours(relay: Relay) -> None:
    relay.hand_over("a", "b")
    assert relay.spool("verify").stdout.endswith("\n3 keys checked: all is whole.\n")
    good = fields_of([event("c")], b"m" * 16, 1)
    ids = [
        relay.redis.xadd("{togai}:events", fields).decode()
        for fields in (
            {"x": "y"},
            {**good, b"e": good[b"e"][:-4]},
            {**good, b"v": b"2"},
            {**good, b"n": b"2"},
            fields_of([b"no event"], b"m" * 16, 1),
            {"z": "z"},
            {"z": "z"},
        )
    ]
    relay.bury(letter("d"))
    relay.redis.hset("{togai}:dead", "e", "{}")
    result = relay.spool("verify")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "PROBLEM  {togai}:events: 2 pending events, 0 dead letters",
        f"         {ids[0]}: it has other fields than ours; it is not sent",
        f"         {ids[1]}: its events are cut, or something follows them; it is not sent",
        f"         {ids[2]}: it has format 2, of a newer version; update the drainers first; it is not sent",
        f"         {ids[3]}: it says that it has 2 events, and has 1; it is not sent",
        f"         {ids[4]}: number 1 in it is no event; it is not sent",
        "         and 2 entries more like these",
        "ok       {togai}:relay",
        "PROBLEM  {togai}:dead: 0 pending events, 1 dead letter",
        "         1 dead letter: no letter of ours: it has other fields",
        "",
        "3 keys checked, 2 with a problem. No drainer sends or deletes what is",
        "not ours, nor what a newer version wrote: update the drainers, or delete it yourself.",
    ]


def test_verify_notices_a_stream_that_was_trimmed_and_facts_that_are_none(relay: Relay) -> None:
    relay.hand_over("a", "b")
    relay.hand_over("c")
    relay.redis.xtrim("{togai}:events", maxlen=1, approximate=False)
    assert "         it counts 3 events, and the stream has 1\n" in relay.spool("verify").stdout
    relay.redis.hset("{togai}:relay", "bytes", "many")
    relay.redis.hdel("{togai}:relay", "out")
    text = relay.spool("verify").stdout
    assert "         its field bytes is no number\n" in text
    assert "         its field out is missing\n" in text
    relay.redis.delete("{togai}:relay")
    assert "it is gone, and with it what was counted" in relay.spool("verify").stdout


def test_verify_names_a_key_of_another_kind(relay: Relay) -> None:
    for part in ("events", "relay", "dead", "lease"):
        relay.redis.rpush(f"{{togai}}:{part}", "x")
    text = relay.spool("verify").stdout
    assert text.count("it is a list, not a ") == 4
    assert "4 keys checked, 4 with a problem." in text


@pytest.mark.parametrize("what", ["ls", "verify", "export", "replay", "purge"])
def test_a_relay_that_is_not_there_is_one_line_without_the_password(what: str) -> None:
    options = ["--all", "--yes"] if what == "purge" else []
    result = command("spool", what, *options, GONE)
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: redis://…@127.0.0.1:1: no relay: ConnectionError: ")
    assert "sesame" not in result.output


@pytest.mark.parametrize("url", ["redis://", "redis://h:x", "redis://:sesame@h/x", "rediss://h?ssl_ca=1"])
def test_a_bad_url_is_one_line(url: str) -> None:
    result = command("spool", "ls", url)
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: relay: ")
    assert "sesame" not in line


def test_the_relay_and_its_name_are_taken_from_the_environment(relay: Relay) -> None:
    env = {"TOGAI_SPOOL": "", "TOGAI_RELAY": relay.url, "TOGAI_RELAY_NAME": "team"}
    assert "under the name team." in command("spool", "ls", env=env).stdout


def test_without_redis_py_it_says_what_to_install(relay: Relay) -> None:
    program = (
        "import sys; sys.modules['redis'] = None; from togai_shipper.__main__ import main;"
        f"sys.argv = ['togai-shipper', 'spool', 'ls', {relay.url!r}]; main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        1,
        "Error: relay: needs redis-py; pip install 'togai-shipper[redis]'\n",
    )


class Twice(DeadLetters):
    """Dead letters that Redis gives twice, as it may while their hash grows."""

    def each(self) -> Iterator[tuple[bytes, bytes]]:
        for each in super().each():
            yield from (each, each)


def test_a_letter_that_comes_twice_is_one_letter(relay: Relay) -> None:
    relay.bury(letter("a"), letter("b"))
    reader = RelayReader(relay.link, Twice(relay.link))
    for _ in range(2):
        found = [(event.id, reader.ids[event.number - 1]) for event in reader.dead()]
        assert sorted(found) == [("a", b"a"), ("b", b"b")]


def test_letters_that_are_gone_before_they_are_replayed_are_told(relay: Relay) -> None:
    class Changed(DeadLetters):
        def replay(self, letters: Mapping[bytes, bytes], fields: Mapping[bytes, bytes]) -> bool:
            relay.redis.hset("{togai}:dead", "a", "another text")
            return super().replay(letters, fields)

    relay.hand_over("x")
    relay.bury(letter("a"), letter("b"))
    key = Key("{togai}:dead")
    (failed,) = RelayChange(Changed(relay.link), key, "replay", letter("b").dead_ms).run([b"a", b"b"])
    assert (failed.state, failed.count) == (ChangeState.FAILED, 2)
    (gone,) = RelayChange(DeadLetters(relay.link), key, "replay", 0).run([b"z"])
    assert (gone.state, gone.count) == (ChangeState.FAILED, 1)


def test_verify_of_nothing_is_well(relay: Relay) -> None:
    assert relay.spool("verify").exit_code == 0


def test_who_may_not_read_it_is_told_what_is_unknown() -> None:
    found = Survey(facts={"v": "1", "events": "1", "bytes": "1"})
    lines = list(relay_lines("redis://h", "togai", found, 0))
    assert "drained by  unknown: this user may not read the lease" in lines
    assert "entries     unknown: this user may not read it" in lines


def test_what_became_too_old_or_corrupt_after_it_was_chosen_is_not_replayed(relay: Relay) -> None:
    relay.hand_over("x")
    relay.bury(letter("old", days=41))
    relay.redis.hset("{togai}:dead", "junk", "no letter")
    change = RelayChange(DeadLetters(relay.link), Key("{togai}:dead"), "replay", letter("now").dead_ms)
    (failed,) = change.run([b"old", b"junk"])
    assert (failed.state, failed.count) == (ChangeState.FAILED, 2)
    assert [each.state for each in attrs.evolve(change, is_risky=True).run([b"junk"])] == [ChangeState.FAILED]
    assert (relay.link.length(), relay.redis.hlen("{togai}:dead")) == (1, 2)

"""Whose key drains a relay: never two accounts', and a key that Togai refuses bars no other."""

from __future__ import annotations

from typing import Any

import pytest
from drained import Drained, World
from virtual import OK, Sent

from togai_shipper._engine.verdict import Accepted, Partly, Reply
from togai_shipper.relay.errors import Foreign
from togai_shipper.relay.key_trial import KeyTrial
from togai_shipper.relay.lease import fingerprint_of

FIRST, OTHER = fingerprint_of("secret"), fingerprint_of("other")


@pytest.fixture
def world() -> World:
    made = World()
    made.relay.lease = "released"
    return made


def only(*good: str) -> Any:
    """Togai knows these keys alone."""
    return lambda sent: OK if sent.key in good else Reply(401)


def run(world: World, key: str, seconds: float = 5.0, **options: Any) -> Drained:
    drained = world.drainer(api_key=key, **options)
    drained.run(seconds)
    return drained


def noted(world: World) -> tuple[str, str]:
    facts = world.relay.facts
    return facts.get("key", ""), facts.get("trying", "").partition(" ")[0]


def killed(world: World) -> None:
    """As if the leader were gone: it sends nothing more, and its lease is not renewed."""
    world.relay.lease = "gone:1"


def test_a_first_key_is_noted_once_togai_has_taken_something_with_it(world: World) -> None:
    idle = run(world, "secret")
    assert (idle.drainer.view().role, noted(world)) == ("leads", ("", ""))

    world.add("a")
    idle.run(1.0)
    assert (idle.sent, noted(world)) == (["a"], (FIRST, ""))


def test_a_mistyped_first_key_bars_no_other(world: World) -> None:
    world.server.answer = only("other")
    world.add("a")
    mistyped = run(world, "secret")
    assert (len(world.server.sent), mistyped.stats.state, noted(world)) == (1, "parked", ("", ""))

    good = world.drainer(api_key="other")
    good.run(3.0)
    assert (good.drainer.view().role, good.drainer.view().failure) == ("stands by", "")
    mistyped.drainer.close()
    good.run(3.0)
    assert (world.server.metered, noted(world)) == ({"a": 1}, (OTHER, ""))


def test_a_refused_key_is_tried_again_and_noted_once_togai_knows_it(world: World) -> None:
    world.server.answer = only()
    world.add("a")
    drained = run(world, "secret")
    world.server.answer = only("secret")
    drained.run(1000.0)

    assert (world.server.metered, noted(world)) == ({"a": 1}, (FIRST, ""))


def test_a_key_that_togai_may_have_taken_something_with_bars_another_account_s(world: World) -> None:
    world.server.answer = lambda sent: Reply(None, error="cut")
    world.add("a")
    run(world, "secret")
    assert noted(world) == ("", FIRST)
    killed(world)

    world.server.answer = lambda sent: OK
    other = run(world, "other", 12.0)
    assert "other" not in {sent.key for sent in world.server.sent}
    assert "another key has drained this relay" in other.drainer.view().failure
    assert other.drainer.view().is_refused

    again = run(world, "secret", 30.0)
    assert (again.stats.delivered, noted(world)) == (1, (FIRST, ""))


def test_a_key_whose_requests_never_reached_togai_is_forgotten_at_the_end(world: World) -> None:
    world.server.answer = lambda sent: Reply(None, error="nobody there", sent=False)
    world.add("a")
    unlucky = run(world, "secret")
    assert noted(world) == ("", FIRST)
    unlucky.drainer.close()

    assert noted(world) == ("", "")


def test_a_key_that_may_have_been_taken_and_is_refused_now_is_still_noted(world: World) -> None:
    world.server.replies = [Reply(503), Reply(401)]
    world.add("a")
    drained = run(world, "secret", 30.0)
    drained.drainer.close()

    assert (len(world.server.sent), noted(world)) == (2, ("", FIRST))


def test_of_two_keys_at_a_new_relay_the_leader_s_is_noted_and_the_other_is_told(world: World) -> None:
    first, second = world.drainer(api_key="secret"), world.drainer(api_key="other")
    first.run(0.1)
    second.run(0.1)
    world.add("a")
    for _ in range(40):
        first.run(0.1)
        second.run(0.1)

    assert {sent.key for sent in world.server.sent} == {"secret"}
    assert second.drainer.view().is_refused
    assert "another key has drained this relay" in second.drainer.view().failure


def test_another_key_does_not_take_the_lease_until_that_is_wanted(world: World) -> None:
    world.add("a")
    run(world, "secret").drainer.close()
    other = run(world, "other", 3.0)
    view = other.drainer.view()
    assert (view.role, view.is_refused) == ("waits", True)
    assert "another key has drained this relay" in str(other.stats.last_error)

    wanted = run(world, "other", new_key=True)
    assert (wanted.drainer.view().role, noted(world)) == ("leads", (FIRST, OTHER))
    assert run(world, "other").drainer.view().role == "stands by", "it need not be said of the second one"
    world.add("b")
    wanted.run(1.0)
    assert noted(world) == (OTHER, "")


def test_a_mistyped_new_key_does_not_bar_the_right_ones(world: World) -> None:
    world.add("a")
    run(world, "secret").drainer.close()
    world.server.answer = only("secret", "right")
    world.add("b")
    run(world, "mistyped", new_key=True).drainer.close()
    assert noted(world) == (FIRST, "")

    run(world, "secret").drainer.close()
    assert world.server.metered == {"a": 1, "b": 1}
    world.add("c")
    run(world, "right", new_key=True)
    assert world.server.metered.keys() == {"a", "b", "c"}


def test_a_new_key_in_place_of_one_that_was_tried_does_not_make_that_one_forgotten(world: World) -> None:
    world.server.answer = lambda sent: Reply(503)
    world.add("a")
    run(world, "secret")
    killed(world)
    world.server.answer = only()
    run(world, "mistyped", 30.0, new_key=True).drainer.close()

    assert noted(world) == (FIRST, "")


def test_the_relay_s_hash_is_lost_and_the_key_is_noted_again_before_the_next_request(world: World) -> None:
    world.add("a")
    drained = run(world, "secret")
    world.relay.facts = {}
    world.relay.begin_facts()
    drained.run(3.0)
    world.server.answer = lambda sent: Reply(503)
    world.add("b")
    drained.run(2.0)
    assert noted(world) == ("", FIRST)

    world.server.answer = lambda sent: OK
    drained.run(60.0)
    assert noted(world) == (FIRST, "")


def test_redis_is_told_again_where_its_answer_was_lost(world: World) -> None:
    def lose(sent: Sent) -> Reply:
        drained.link.lose_answers = 1
        return Reply(401)

    drained = world.drainer()
    drained.run(2.0)
    world.server.answer = lose
    world.add("a")
    drained.run(5.0)

    assert (len(world.server.sent), noted(world)) == (1, ("", ""))


def test_another_key_that_has_come_in_meanwhile_is_told_and_nothing_is_sent(world: World) -> None:
    drained = run(world, "secret")
    world.relay.facts["key"] = OTHER
    world.add("a")
    drained.run(5.0)

    assert world.server.sent == []
    assert "another key has drained this relay" in drained.drainer.view().failure


def test_a_request_that_begins_while_the_key_is_about_to_be_forgotten_prevents_that() -> None:
    trial = KeyTrial()
    trial.want()
    trial.told("try", "tried")
    assert trial.begin("a")
    trial.end("a", Reply(401))
    assert trial.word == "refused"
    assert trial.begin("b")

    assert not trial.begin_to_tell("refused")
    assert trial.word is None
    trial.end("b", Reply(None, sent=False))
    assert trial.word == "refused"
    assert trial.begin_to_tell("refused")
    assert not trial.begin("c"), "Redis is told just now that there is none"


def test_a_request_that_was_repeated_may_have_been_taken_the_first_time() -> None:
    trial = KeyTrial()
    trial.told("try", "tried")
    trial.begin("a")
    trial.end("a", Reply(401, repeated=True))

    assert trial.word is None


@pytest.mark.parametrize("verdict", [Accepted(), Partly({}, Any, 207)])  # type: ignore[arg-type]  nobody reads it
def test_what_togai_has_taken_is_told_until_redis_knows(verdict: Any) -> None:
    trial = KeyTrial()
    trial.told("try", "tried")
    trial.begin("a")
    trial.end("a", Reply(None, verdict=verdict))
    assert trial.word == "taken"
    trial.told("taken", "none")  # its hash is gone
    trial.want()
    assert trial.word == "try"


def test_a_key_that_another_has_tried_is_left_by_its_own_refusal(world: World) -> None:
    world.relay.begin_facts()
    world.relay.try_key(FIRST, "another owner")
    world.server.answer = only()
    world.add("a")
    run(world, "secret").drainer.close()

    assert noted(world) == ("", FIRST)
    with pytest.raises(Foreign):
        world.drainer().link.lease("take", "x", "released", fingerprint=OTHER)

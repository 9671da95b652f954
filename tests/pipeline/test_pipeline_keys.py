"""What a refused, renewed or unobtainable key does to the line, in virtual time."""

from __future__ import annotations

from typing import Any

import pytest
from server_replies import FORBIDDEN, UNAUTHORIZED, poisons
from virtual import OK, Sent, world

from togai_shipper import FlushReport, Unauthorized
from togai_shipper._engine.verdict import Reply, TryLater


def test_a_key_that_is_refused_and_renewed_makes_two_requests_with_a_reply_each() -> None:
    keys = iter(["old", "new"])
    w = world([UNAUTHORIZED], api_key=lambda: next(keys))
    w.put(1)

    assert w.pipeline.close(10)
    assert w.pipeline.health.stats().replies == {401: 1, 202: 1}


def test_a_callable_key_that_raises_parks_the_line_with_that_as_the_cause() -> None:
    def broken() -> str:
        raise OSError("vault is sealed")

    told: list[Any] = []
    w = world(api_key=broken, on_error=lambda error, events: told.append(error))
    w.put(3)
    w.pipeline.flush(10)

    assert w.server.sent == []
    assert isinstance(told[0], Unauthorized)
    assert "OSError" in str(told[0])
    w.pipeline.set_api_key("other")
    assert w.pipeline.flush(10)
    assert {sent.key for sent in w.server.sent} == {"other"}


def test_a_callable_key_that_gives_the_same_again_is_not_tried_twice() -> None:
    asked: list[int] = []

    def key() -> str:
        asked.append(1)
        return "same"

    w = world(api_key=key)
    w.server.answer = lambda sent: UNAUTHORIZED
    w.put(1)
    w.pipeline.flush(10)

    assert len(w.server.sent) == 1
    assert len(asked) == 2


@pytest.mark.parametrize("vault", ["answers", "raises"])
def test_a_key_set_while_another_is_asked_for_is_tried_at_once(vault: str) -> None:
    asked: list[int] = []

    def ask() -> str:
        asked.append(1)
        if len(asked) > 1:
            w.pipeline.set_api_key("right")
            if vault == "raises":
                raise OSError("no vault")
        return f"wrong{len(asked)}"

    w = world(api_key=ask)
    w.server.answer = lambda sent: OK if sent.key == "right" else UNAUTHORIZED
    w.put(3)

    assert w.pipeline.flush(1) == FlushReport(delivered=3)
    assert [sent.key for sent in w.server.sent] == ["wrong1", "right"]


@pytest.mark.parametrize("request_", ["the first", "a probe"])
def test_a_key_set_while_the_old_one_is_being_refused_is_tried_at_once(request_: str) -> None:
    w = world([UNAUTHORIZED] if request_ == "a probe" else [])
    w.put(3)
    if request_ == "a probe":
        w.pipeline.flush(1)
        w.until_probe()

    def set_meanwhile(sent: Sent) -> Reply:
        if sent.key == "right":
            return OK
        w.pipeline.set_api_key("right")
        return UNAUTHORIZED

    w.server.answer = set_meanwhile

    assert w.pipeline.flush(1) == FlushReport(delivered=3)


def test_nothing_is_sent_once_the_time_to_close_is_over_however_long_the_key_takes() -> None:
    def ask() -> str:
        w.clock.now += 8
        return "secret"

    w = world(api_key=ask)
    w.put(3)

    assert w.pipeline.close(2) == FlushReport(dropped=3)
    assert w.server.sent == []


@pytest.mark.parametrize("requests", [0, 1])
def test_nothing_is_sent_of_what_was_given_up_while_a_key_was_asked_for(requests: int) -> None:
    def ask() -> str:
        if len(w.server.sent) == requests:
            w.pipeline.line.give_up()
        return f"key{len(w.server.sent)}"

    w = world([UNAUTHORIZED], api_key=ask)
    w.put(3)

    assert w.pipeline.flush(2) == FlushReport(dropped=3)
    assert len(w.server.sent) == requests


def test_a_key_that_is_refused_and_then_cannot_be_had_parks_with_that_as_the_cause() -> None:
    answers = iter(["refused"])
    w = world([UNAUTHORIZED], api_key=lambda: next(answers))
    w.put(3)
    w.pipeline.flush(1)

    assert w.pipeline.health.complaint() == "parked: the api_key callable raised StopIteration"


def test_a_renewed_key_waits_for_the_end_of_a_pause_that_began_meanwhile() -> None:
    def ask() -> str:
        if w.server.sent:
            w.pipeline.gate.on_verdict(TryLater(429, "slow down", after=3.0, throttled=True))
        return f"key{len(w.server.sent)}"

    w = world([UNAUTHORIZED], api_key=ask)
    w.put(3)

    assert w.pipeline.flush(10) == FlushReport(delivered=3)
    first, second = w.server.sent
    assert second.at - first.at >= 3.0


@pytest.mark.parametrize("refusal", [UNAUTHORIZED, FORBIDDEN])
def test_what_becomes_of_a_request_with_the_old_key_is_no_news_once_there_is_another(
    refusal: Reply, caplog: pytest.LogCaptureFixture
) -> None:
    def set_meanwhile(sent: Sent) -> Reply:
        if sent.key == "right":
            return OK
        w.pipeline.set_api_key("right")
        return refusal

    told: list[Any] = []
    w = world(on_error=lambda error, events: told.append(error))
    w.server.answer = set_meanwhile
    w.put(3)

    assert w.pipeline.flush(1) == FlushReport(delivered=3)
    assert (told, caplog.text) == ([], "")


def test_an_event_that_is_refused_for_itself_shows_that_the_key_is_good_again() -> None:
    w = world([UNAUTHORIZED])
    ids = w.put(13)
    w.pipeline.flush(1)
    assert w.pipeline.health.state == "parked"

    w.server.answer = poisons(*ids[:10])
    w.pipeline.set_api_key("new")

    assert w.pipeline.flush(20) == FlushReport(delivered=3, rejected=10)

"""Events that were refused become dead letters, which an operator has replayed or purged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from spooled import die, files, letters, stats
from sqlite_handles import break_off
from virtual import OK, WALL

from togai_shipper._engine.verdict import Reply
from togai_shipper.spool.file import SpoolFile
from togai_shipper.spool.requests import ask


def test_a_refused_event_becomes_a_dead_letter(worlds: Any, folder: Path) -> None:
    w = worlds([Reply(400, b'{"message": "unknown schema"}')])
    (event_id,) = w.put(1)
    w.pipeline.sync(1.0)
    w.clock.now += 20
    w.pipeline.flush(10)
    w.pipeline.close(1)

    (letter,) = letters(folder)
    assert (letter.id, letter.reason, letter.status) == (event_id, "rejected", 400)
    assert (letter.message, letter.attempts) == ("unknown schema", 1)
    assert letter.accepted_ms == int((WALL + 1000) * 1000)
    assert letter.dead_ms >= letter.accepted_ms + 20_000
    assert (stats(w).rejected, stats(w).dead_letters, stats(w).spooled) == (1, 1, 0)
    assert len(files(folder)) == 1


def test_dead_letters_of_a_process_that_is_gone_move_on_and_are_not_sent(worlds: Any, folder: Path) -> None:
    first = worlds([Reply(400, b'{"message": "no"}')])
    first.put(1)
    first.pipeline.close(10)
    before = letters(folder)

    second = worlds()
    second.put(1)
    second.pipeline.flush(10)
    assert letters(folder) == before
    assert (stats(second).dead_letters, stats(second).delivered) == (1, 1)
    assert len(files(folder)) == 1


@pytest.mark.parametrize("whose", ["of a process that lives", "of one that is gone"])
def test_a_dead_letter_is_replayed_or_purged_as_it_was_asked(worlds: Any, folder: Path, whose: str) -> None:
    w = worlds()
    w.server.answer = lambda sent: Reply(400, b'{"message": "unknown schema"}')
    ids = w.put(3)
    w.pipeline.flush(10)
    w.clock.now += 1
    w.pipeline.flush(0.0)
    (path,) = files(folder)
    file = SpoolFile.peek(path)
    numbers = {letter.id: number for number, letter in file.dead()}
    file.close()
    ask(path, "replay", [numbers[ids[0]]])
    ask(path, "purge", [numbers[ids[1]]])
    if "gone" in whose:
        die(w)
        w = worlds()
    w.server.answer = lambda sent: OK

    for _ in range(6):
        w.clock.now += 2
        w.pipeline.flush(10)

    assert set(w.server.metered) == {ids[0]}
    assert [letter.id for letter in letters(folder)] == [ids[2]]
    assert (stats(w).dead_letters, stats(w).recovered) == (1, 1)
    assert not list(folder.glob("*request*"))


def test_a_replay_on_a_file_that_fails_is_asked_again(worlds: Any, folder: Path) -> None:
    w = worlds([Reply(400, b'{"message": "no"}')])
    ids = w.put(1)
    w.pipeline.flush(10)
    w.clock.now += 1
    w.pipeline.flush(0.0)
    ask(files(folder)[0], "replay", [1])
    break_off(files(folder)[0])
    for _ in range(6):
        w.clock.now += 100
        w.pipeline.flush(10)

    assert set(w.server.metered) == set(ids)

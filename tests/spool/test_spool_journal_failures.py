"""The journal where the disk fails, where files are moved meanwhile, and where two processes do one thing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from spool_files import META, body, events, letter
from test_spool_journal import CLOCKS, NOW, NOW_MS, TODAY, adopt, counts, failing, file_in, orphan_of, tally
from virtual import WALL

from togai_shipper._journal import JournalError, read_journals, reading
from togai_shipper._outcome import Delivered, Relayed
from togai_shipper.spool import archive, writer
from togai_shipper.spool.archive import NAME, keep_journal
from togai_shipper.spool.book import unpacked
from togai_shipper.spool.connection import Connection
from togai_shipper.spool.errors import Damaged, SpoolError
from togai_shipper.spool.file import SpoolFile
from togai_shipper.spool.moves import Record
from togai_shipper.spool.moving import moved_to_heir, owes
from togai_shipper.spool.shelf import Leaving, Shelf
from togai_shipper.spool.tally import Tally


def test_what_is_no_event_is_counted_without_its_facts() -> None:
    made = Tally()
    made.add([b"", b"[]", b'{"schemaName":1}'], TODAY, "purged")

    assert made.counts == {("0001-01-01", TODAY, "", True, "", "purged"): 3}


def test_what_waits_too_long_for_a_disk_is_counted_without_its_ids() -> None:
    shelf = Shelf()
    shelf.settled(Delivered([body("a"), body("b")]))
    assert shelf.uncounted == 2

    shelf.condense(TODAY, kept_ids=True)
    shelf.settled(Delivered([body("c")]))
    leaving = shelf.take_leaving()
    shelf.put_back(leaving)
    again = shelf.take_leaving()

    assert (len(again.rowless), sum(sum(each.counts.values()) for each in again.rowless.counted)) == (1, 2)
    assert any(each.lacks_ids for each in again.rowless.counted)
    assert isinstance(again, Leaving)


def test_ids_that_were_not_kept_are_a_doubt(folder: Path) -> None:
    with closing(file_in(folder, journal_keeps="ids")) as file:
        made = tally("a", keeps="ids")
        made.merge(tally("b", keeps="ids"))
        made.lacks_ids = True
        file.settle([], made, NOW_MS)

    (journal,) = read_journals(folder, lambda: WALL)

    assert "the ids of what was delivered meanwhile are not kept" in (journal.why_not or "")
    assert journal.doubts


def test_a_disk_that_fails_for_long_does_not_fill_memory(
    worlds: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "UNCOUNTED_MOST", 1)
    w = worlds()
    w.put(3)
    w.pipeline.flush(10)
    w.pipeline.close(10)

    assert counts(folder) == {("delivered", "api_call"): 3}


@pytest.mark.parametrize("is_last", [False, True])
def test_a_file_that_was_removed_since_the_disk_was_full_hands_its_journal_on(
    worlds: Any,
    folder: Path,
    is_last: bool,  # noqa: FBT001
) -> None:
    w = worlds(journal="ids")
    w.put(2)
    w.pipeline.flush(10)
    w.clock.now += 1
    w.put()
    w.pipeline.flush(10)
    disk = w.pipeline.store.disk
    disk.renew()
    disk.carry(tally("x"))
    if not is_last:
        disk.open()
    disk.close()

    (journal,) = read_journals(folder, lambda: WALL)
    assert not is_last or not disk.file
    assert sum(each.count for each in journal.counts if each.fate == "delivered") >= 3
    assert journal.id
    w.pipeline.close(10)


def test_two_processes_maylay_out_one_archive(folder: Path) -> None:
    with closing(file_in(folder)) as file:
        file.settle([], tally("a"), NOW_MS)
        keep_journal(file, NOW_MS)
    with closing(Connection(folder / NAME, "rw")) as connection:
        archive.lay_out(connection)

    assert counts(folder) == {("delivered", "api_call"): 1}


# --- moves --------------------------------------------------------------------------------------------------


def test_a_record_is_owed_only_while_what_it_lists_is_there(folder: Path) -> None:
    source, heir = folder / "host-1-00000001.db", file_in(folder, "host-2-00000002")
    record = Record([(1, 1)])
    heir.take_over({source.name: record}, [], [])
    assert not owes(heir)  # it is gone

    source.write_bytes(b"no database" * 100)
    assert not owes(heir)
    source.unlink()
    source.symlink_to(folder / "elsewhere")
    (folder / "elsewhere").touch()
    assert owes(heir)  # who knows
    heir.close()


def test_a_file_that_we_left_and_adopt_again_is_moved_on_from_where_we_were(folder: Path) -> None:
    with closing(file_in(folder, "host-1-00000001")) as theirs:
        theirs.append(events("a"))
    ours = file_in(folder, "host-3-00000003")
    orphan = orphan_of(folder, "host-1-00000001")
    orphan.file.remove_rows = lambda rows: None  # type: ignore[method-assign]
    orphan.move(ours, CLOCKS)
    assert moved_to_heir(orphan.file, ours)
    orphan.leave()

    adopt(folder, "host-1-00000001", ours)

    assert ours.pending()[0] == 1
    ours.close()


@pytest.mark.parametrize("what", ["heir", "remove"])
def test_a_file_that_cannot_be_written_is_moved_with_a_doubt(
    folder: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(file_in(folder, "host-1-00000001")) as theirs:
        theirs.append(events("a"))
        theirs.moves.name_heir("host-2-00000002.db")
    (folder / "host-2-00000002.db").write_bytes(b"no database" * 100)  # a heir that is damaged
    ours = file_in(folder, "host-3-00000003")
    orphan = orphan_of(folder, "host-1-00000001")
    if what == "heir":
        monkeypatch.setattr(orphan.file.moves, "name_heir", failing)
    while not orphan.move(ours, CLOCKS).over:
        pass
    orphan.end(NOW)

    assert ours.pending()[0] == 1
    assert (ours.journal.book("x").doubts != {}) is (what == "heir")
    ours.close()


@pytest.mark.parametrize("error", [SpoolError("locked"), Damaged("no")])
def test_a_file_stays_while_its_journal_cannot_be_kept(
    folder: Path, error: SpoolError, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(file_in(folder, "host-1-00000001")) as theirs:
        theirs.settle([], tally("a"), NOW_MS)
    ours = file_in(folder, "host-3-00000003")

    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr("togai_shipper.spool.orphan.keep_journal", fails)
    adopt(folder, "host-1-00000001", ours)

    is_aside = any(".corrupt-" in path.name for path in folder.iterdir())
    assert is_aside is isinstance(error, Damaged)
    assert (folder / "host-1-00000001.db").exists() is not is_aside
    ours.close()


def test_letters_that_cannot_be_removed_where_they_were_stay_in_a_file_set_aside(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(file_in(folder, "host-1-00000001")) as theirs:
        theirs.bury([letter("a")])
    ours = file_in(folder, "host-3-00000003")
    orphan = orphan_of(folder, "host-1-00000001")
    monkeypatch.setattr(orphan.file.moves, "remove", failing)
    while not orphan.move(ours, CLOCKS).over:
        pass

    assert ".corrupt-" in orphan.end(NOW)
    assert ours.dead_count() == 1
    ours.close()


# --- a look while files are moved ---------------------------------------------------------------------------


def test_a_look_while_files_are_moved_is_made_again_and_then_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(file_in(folder)) as file:
        looks = []

        def book(given: SpoolFile) -> Any:
            looks.append(given)
            given.meta()  # from here on it reads one state of the file
            file.moves.name_heir(f"host-{len(looks)}-00000000.db")
            return given.journal.book("x")

        monkeypatch.setattr(reading, "_book", book)
        with pytest.raises(JournalError, match="taking over others' files just now"):
            read_journals(folder)
        assert len(looks) == reading.TRIES


def test_a_file_that_vanishes_meanwhile_is_no_longer_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file_in(folder).close()
    path = folder / "host-7-0123abcd.db"

    def book(given: SpoolFile) -> Any:
        path.unlink(missing_ok=True)
        return given.journal.book("x")

    monkeypatch.setattr(reading, "_book", book)

    assert read_journals(folder) == []


def test_ids_of_no_known_kind_are_damaged(folder: Path) -> None:
    with closing(file_in(folder, journal_keeps="ids")) as file:
        file.settle([], tally("a", keeps="ids"), NOW_MS)
    with closing(sqlite3.connect(folder / "host-7-0123abcd.db")) as connection:
        connection.execute("DELETE FROM tally")
        connection.commit()

    (journal,) = read_journals(folder, lambda: WALL)

    assert journal.why_not == "its ids are damaged"
    assert META


def test_ids_that_are_cut_short_are_damaged() -> None:
    key = ("2026-01-31", TODAY, "api_call", False, "", "delivered")

    with pytest.raises(ValueError, match="ids are damaged"):
        list(unpacked((1).to_bytes(4, "big") * 2 + b"half", {1: (key, 1)}))


def test_what_a_relay_took_is_neither_counted_nor_a_dead_letter() -> None:
    shelf = Shelf()
    shelf.settled(Relayed([body("a")]))

    assert (shelf.uncounted, shelf.leaving) == (0, 0)


def test_a_file_that_has_gone_meanwhile_is_not_as_it_was(folder: Path) -> None:
    gone: Any = folder / "host-7-0123abcd.db"
    assert not reading._is_as_it_was(gone, gone)  # noqa: SLF001  a race that no test can time

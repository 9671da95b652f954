"""The journal of a spool: what left it is counted once, whatever fails, and whoever sent it."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from spool_files import META, NOW, body, events, letter
from spooled import die, files
from virtual import WALL

from togai_shipper import Event
from togai_shipper._journal import read_journals
from togai_shipper.spool import schema
from togai_shipper.spool.age import Clocks, FileClock
from togai_shipper.spool.archive import NAME, Archive, keep_journal
from togai_shipper.spool.errors import SpoolError
from togai_shipper.spool.file import SpoolFile
from togai_shipper.spool.folder import Folder
from togai_shipper.spool.journal import day_of
from togai_shipper.spool.moves import Record
from togai_shipper.spool.orphan import Orphan
from togai_shipper.spool.tally import Tally

NOW_MS = int(WALL * 1000)
TODAY = day_of(NOW_MS)
DAY_MS = 86_400_000
CLOCKS = Clocks("here", NOW + 1000, NOW + 1000, NOW + 1000)


def counts(folder: Path, at: float = WALL) -> dict[tuple[str, str], int]:
    """What all journals say, by fate and schema."""
    found: Counter[tuple[str, str]] = Counter()
    for journal in read_journals(folder, lambda: at):
        for each in journal.counts:
            found[each.fate, each.schema] += each.count
    return dict(found)


def tally(*names: str, day: str = TODAY, keeps: str = "counts") -> Tally:
    made = Tally(keeps)
    made.add([body(name) for name in names], day, "delivered")
    return made


def file_in(folder: Path, name: str = "host-7-0123abcd", **meta: str) -> SpoolFile:
    folder.mkdir(exist_ok=True)
    return SpoolFile.create(folder / f"{name}.db", {**META, "journal": name, **meta}, FileClock("here"))


def orphan_of(folder: Path, name: str) -> Orphan:
    path = folder / f"{name}.db"
    claim = Folder(str(folder)).claim(path)
    assert claim is not None
    return Orphan(claim, SpoolFile.open(path))


# --- what is counted ---------------------------------------------------------------------------------------


def test_what_leaves_is_removed_and_counted_in_the_commit_that_writes_what_comes(folder: Path) -> None:
    with closing(file_in(folder)) as file:
        first = file.append(events("a", "b", "c"))
        fourth = file.exchange(events("d"), [first], tally("a"), NOW_MS)
        fifth = file.exchange(events("e"), [first + 1], tally(), NOW_MS)  # a relay took that

        assert [row.seq for row in file.read(0, 9)[0]] == [first + 2, fourth, fifth] == [3, 4, 5]
        assert counts(folder) == {("waiting", "api_call"): 3, ("delivered", "api_call"): 1}


@pytest.mark.parametrize("keeps", ["counts", "accounts", "ids"])
def test_what_is_delivered_is_counted_by_schema_and_whose_the_id_is(
    worlds: Any, folder: Path, keeps: str
) -> None:
    w = worlds(journal=keeps)
    own = Event("api_call", "acme", {"n": 1}, timestamp="2026-01-01T23:59:59.999Z")
    given = [own, Event("api_call", "acme", {"n": 1}, id="order-1"), Event('st"or\u00e9', "b\\", {"n": 1})]
    for event in given:
        w.pipeline.put(event.encode())
    w.pipeline.close(10)

    (journal,) = read_journals(folder, lambda: WALL)

    assert {(each.schema, each.is_chosen, each.fate, each.count) for each in journal.counts} == {
        ("api_call", False, "delivered", 1),
        ("api_call", True, "delivered", 1),
        ('st"or\u00e9', False, "delivered", 1),
    }
    accounts = {"acme", "b\\"} if keeps == "accounts" else {None}
    assert {each.account for each in journal.counts} == accounts
    named = {event_id for each in journal.listed or () for event_id in each.ids}
    assert named == ({event.id for event in given} if keeps == "ids" else set())
    assert journal.is_complete
    assert TODAY in {str(each.delivered_day) for each in journal.counts}


def test_an_id_of_32_digits_that_a_caller_chose_is_not_taken_for_ours(worlds: Any, folder: Path) -> None:
    w = worlds()
    w.put_one("z" * 32)
    w.put_one("0" * 31)
    w.put()
    w.pipeline.close(10)

    (journal,) = read_journals(folder)

    assert {(each.is_chosen, each.count) for each in journal.counts} == {(True, 2), (False, 1)}


def test_what_waits_and_what_is_dead_is_there_until_it_leaves_and_a_purge_is_counted(folder: Path) -> None:
    with closing(file_in(folder)) as file:
        first = file.append(events("a", "b", "c"))
        file.bury([letter("c"), letter("d")], [first + 2])
        assert counts(folder) == {("waiting", "api_call"): 2, ("dead", "api_call"): 2}

        file.settle([first], tally("a"), NOW_MS)
        file.purge([number for number, _ in file.dead()][:1], NOW_MS)

        assert counts(folder) == {
            ("waiting", "api_call"): 1,
            ("delivered", "api_call"): 1,
            ("dead", "api_call"): 1,
            ("purged", "api_call"): 1,
        }


def test_what_could_not_be_removed_is_not_counted_either(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(file_in(folder)) as file:
        first = file.append(events("a", "b"))
        monkeypatch.setattr(schema, "TALLY", "INSERT INTO nowhere VALUES (?, ?, ?, ?, ?, ?)")
        with pytest.raises(SpoolError):
            file.settle([first], tally("a"), NOW_MS)
        monkeypatch.undo()
        assert counts(folder) == {("waiting", "api_call"): 2}

        file.settle([first, first + 1], tally("a", "b"), NOW_MS)

        assert counts(folder) == {("delivered", "api_call"): 2}


def test_a_purge_in_a_file_of_the_older_format_is_counted(folder: Path) -> None:
    file = file_in(folder)
    file.bury([letter("a")])
    file.close()
    older(folder / "host-7-0123abcd.db")

    with closing(SpoolFile.open(folder / "host-7-0123abcd.db")) as again:
        again.purge([1], NOW_MS)
        assert counts(folder) == {("purged", "api_call"): 1}


def older(path: Path) -> None:
    """Make a file what an older version has written."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("DROP TABLE tally; DROP TABLE listed; PRAGMA user_version = 1")


def test_a_file_of_the_older_format_is_adopted_and_delivered(worlds: Any, folder: Path) -> None:
    first = worlds()
    first.put(3)
    first.pipeline.store.sync(1.0)
    die(first)
    older(files(folder)[0])
    second = worlds()

    second.pipeline.flush(10)
    second.pipeline.close(10)

    assert second.pipeline.health.stats().delivered == 3
    assert counts(folder) == {("delivered", "api_call"): 3}
    assert [path.name for path in folder.iterdir()] == [NAME]


def test_days_that_are_no_longer_kept_are_forgotten_and_not_claimed(folder: Path) -> None:
    with closing(file_in(folder, journal_keeps="ids", created_ms="1")) as file:
        for days, name in ((100, "a"), (50, "b"), (0, "c")):
            at = NOW_MS - days * DAY_MS
            file.settle([], tally(name, day=day_of(at), keeps="ids"), at)
        file.settle([], tally("d", keeps="ids"), NOW_MS)

        (journal,) = read_journals(folder, lambda: WALL)

    assert sum(each.count for each in journal.counts) == 3
    assert {event_id for each in journal.listed or () for event_id in each.ids} == {"c", "d"}
    assert (WALL - journal.since.timestamp()) / 86_400 == 90
    assert str(journal.listed_since) == day_of(NOW_MS - 35 * DAY_MS)


# --- a process is gone -------------------------------------------------------------------------------------


def test_a_journal_is_kept_once_however_often_it_is_taken(folder: Path) -> None:
    with closing(file_in(folder, journal_keeps="ids")) as file:
        file.settle([], tally("a", "0" * 32, keeps="ids"), NOW_MS)
        keep_journal(file, NOW_MS)
        keep_journal(file, NOW_MS)

        assert counts(folder) == {("delivered", "api_call"): 2}
        file.journal.doubt(TODAY, "a doubt")
        keep_journal(file, NOW_MS)
    (folder / "host-7-0123abcd.db").unlink()

    (journal,) = read_journals(folder, lambda: WALL)

    assert counts(folder) == {("delivered", "api_call"): 2}
    assert journal.ids is not None
    assert set().union(*journal.ids.values()) == {"a", "0" * 32}
    assert (journal.is_complete, journal.why_not) == (False, "a doubt")


@pytest.mark.parametrize("cut", ["before the removal", "before the end"])
@pytest.mark.parametrize("is_heir_gone", [False, True])
def test_what_was_moved_before_a_crash_is_not_moved_again(folder: Path, cut: str, is_heir_gone: bool) -> None:  # noqa: FBT001
    with closing(file_in(folder, "host-1-00000001")) as theirs:
        theirs.append(events("a", "b"))
        theirs.bury([letter("d")])
    heir = file_in(folder, "host-2-00000002")
    orphan = orphan_of(folder, "host-1-00000001")
    if cut == "before the removal":
        orphan.file.remove_rows = lambda rows: None  # type: ignore[method-assign]  # as if killed before
    orphan.move(heir, CLOCKS)
    orphan.leave()
    heir.close()
    assert counts(folder) == {("waiting", "api_call"): 2, ("dead", "api_call"): 1}

    third = file_in(folder, "host-3-00000003")
    names = ["host-2-00000002", "host-1-00000001"]
    for name in names if is_heir_gone else reversed(names):
        adopt(folder, name, third)
    adopt(folder, "host-2-00000002", third)

    assert [path.name for path in files(folder)] == ["host-3-00000003.db"]
    assert counts(folder) == {("waiting", "api_call"): 2, ("dead", "api_call"): 1}
    third.close()


def adopt(folder: Path, name: str, ours: SpoolFile) -> None:
    """Move all of a file into ours, if it is there."""
    if (folder / f"{name}.db").exists():
        orphan = orphan_of(folder, name)
        while not orphan.move(ours, CLOCKS).over:
            pass
        orphan.end(NOW)


def test_a_file_waits_while_its_heir_cannot_be_read(folder: Path) -> None:
    with closing(file_in(folder, "host-1-00000001")) as theirs:
        theirs.append(events("a"))
        theirs.moves.name_heir("host-2-00000002.db")
    (folder / "host-2-00000002.db").symlink_to(folder / "elsewhere")
    (folder / "elsewhere").write_bytes(b"")
    ours = file_in(folder, "host-3-00000003")

    adopt(folder, "host-1-00000001", ours)

    assert ours.pending()[0] == 0
    assert (folder / "host-1-00000001.db").exists()
    ours.close()


def test_a_damaged_file_leaves_a_doubt_in_the_journal(folder: Path) -> None:
    with closing(file_in(folder, "host-1-00000001")) as theirs:
        theirs.append(events("a"))
        theirs.settle([], tally("b"), NOW_MS)
    ours = file_in(folder, "host-3-00000003")
    orphan = orphan_of(folder, "host-1-00000001")
    orphan.file.remove_rows = failing  # type: ignore[method-assign]
    while not orphan.move(ours, CLOCKS).over:
        pass
    orphan.end(NOW)

    doubts = [journal.why_not for journal in read_journals(folder) if not journal.is_complete]

    assert doubts == ["host-1-00000001.db was damaged: what was in it may be counted twice, or not at all"]
    assert counts(folder, NOW / 1000)["delivered", "api_call"] == 1
    ours.close()


def failing(_: object) -> None:
    raise SpoolError("no")


def test_a_file_that_failed_and_was_left_is_a_doubt_in_the_next_ones_journal(
    worlds: Any, folder: Path
) -> None:
    w = worlds()
    w.put()
    w.pipeline.store.sync(1.0)
    w.pipeline.store.disk.failed(SpoolError("no"))
    w.clock.now += 60
    w.put()
    w.pipeline.flush(10)
    w.clock.now += 1
    w.pipeline.close(10)

    assert any("may be counted twice" in (journal.why_not or "") for journal in read_journals(folder))


# --- damage ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "damage",
    ["UPDATE tally SET count = count + 1", "UPDATE listed SET ids = x'00'", "UPDATE listed SET crc = 0"],
)
@pytest.mark.parametrize("is_kept", [False, True])
def test_a_damaged_journal_is_said_and_its_damaged_part_never_summed(
    folder: Path,
    damage: str,
    is_kept: bool,  # noqa: FBT001
) -> None:
    path = folder / "host-7-0123abcd.db"
    with closing(file_in(folder, journal_keeps="ids")) as file:
        file.settle([], tally("a", keeps="ids"), NOW_MS)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(damage)
        connection.commit()
    if is_kept:
        with closing(SpoolFile.open(path)) as file:
            keep_journal(file, NOW_MS)
        path.unlink()

    (journal,) = read_journals(folder, lambda: WALL)

    assert not journal.is_complete
    assert "damaged" in (journal.why_not or "")
    assert sum(each.count for each in journal.counts) == (0 if "tally" in damage else 1)


def test_journals_that_are_kept_and_damaged_are_said(folder: Path) -> None:
    with closing(file_in(folder)) as file:
        file.settle([], tally("a"), NOW_MS)
        keep_journal(file, NOW_MS)
        with closing(sqlite3.connect(folder / NAME)) as connection:
            connection.execute("UPDATE book SET facts = '{}'")
            connection.commit()
        assert any("is damaged" in (journal.why_not or "") for journal in read_journals(folder))

        (folder / NAME).write_bytes(b"no database" * 1000)
        keep_journal(file, NOW_MS)

    assert any("is set aside" in (journal.why_not or "") for journal in read_journals(folder))
    assert counts(folder) == {("delivered", "api_call"): 1}


def test_a_newer_version_of_what_is_kept_is_said(folder: Path) -> None:
    with closing(file_in(folder)) as file:
        file.settle([], tally("a"), NOW_MS)
        keep_journal(file, NOW_MS)
    with closing(sqlite3.connect(folder / NAME)) as connection:
        connection.execute("PRAGMA user_version = 2")

    assert any("of a newer version" in (journal.why_not or "") for journal in read_journals(folder))


def test_two_processes_may_begin_to_keep_journals_at_once(folder: Path) -> None:
    with closing(file_in(folder)) as file:
        file.settle([], tally("a"), NOW_MS)
        (folder / NAME).touch(0o600)
        assert list(Archive(folder).read(NOW_MS)) == []  # another is about to make it

        keep_journal(file, NOW_MS)

    assert len(list(Archive(folder).read(NOW_MS))) == 1


def test_a_record_that_is_damaged_lists_nothing() -> None:
    record = Record([(1, 2)], [3])

    assert Record.of_text(record.as_text()).letters == [3] or Record.of_text(record.as_text()).letters == (3,)
    assert not Record.of_text("00000000 [[],[]]")
    assert not Record.of_text("nothing")


def test_rows_of_which_nothing_is_counted_are_removed_as_well(folder: Path) -> None:
    with closing(file_in(folder)) as file:
        file.append([(NOW_MS, True, body("a"))])
        file.settle([1], Tally(), NOW_MS)

        assert file.last_seq() == 0


def test_a_file_of_the_older_format_keeps_no_ids(folder: Path) -> None:
    file_in(folder).close()
    older(folder / "host-7-0123abcd.db")

    with closing(SpoolFile.peek(folder / "host-7-0123abcd.db")) as again:
        assert list(again.journal.ids()) == []

"""``spool.orphan``, ``adoption`` and ``disk``: files that fail while they are moved, made, or left."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
from spool_files import body
from spooled import die
from sqlite_handles import break_off

from togai_shipper._engine.runtime import Runtime
from togai_shipper.spool.adoption import Adoption
from togai_shipper.spool.age import Clocks
from togai_shipper.spool.claims import Claim
from togai_shipper.spool.disk import Disk
from togai_shipper.spool.errors import Damaged, Endless, SpoolError, SpoolFull
from togai_shipper.spool.file import READ_BYTES, SpoolFile
from togai_shipper.spool.folder import Folder
from togai_shipper.spool.orphan import Haul, Orphan
from togai_shipper.spool.requests import ask
from togai_shipper.spool.rows import DeadLetter, Row
from togai_shipper.spool.shelf import Shelf

NOW = 1_790_000_000_000
AT = Clocks("", NOW, NOW, None)  # nobody knows the boot, and Togai has not said what time it is
LETTER = DeadLetter("dead", NOW, body("dead"), "rejected", 400, "no", 1, NOW)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(str(tmp_path))


@pytest.fixture
def ours(folder: Folder) -> SpoolFile:
    return SpoolFile.create(folder.new().path, {})


@pytest.fixture
def claim(folder: Folder) -> Claim:
    """A file with two events and a dead letter, and a request to replay that."""
    claim = folder.new()
    file = SpoolFile.create(claim.path, {})
    file.append([(NOW, False, body("1")), (NOW, False, body("2"))])
    file.bury([LETTER])
    file.close()
    return claim


def failing(claim: Claim, kind: type[SpoolFile] = SpoolFile, **failures: Exception) -> SpoolFile:
    """The file, of which these methods fail."""

    def fail(name: str) -> Any:
        def method(*_: object, **__: object) -> Any:
            raise failures[name]

        return method

    return type("Failing", (kind,), {name: fail(name) for name in failures}).open(claim.path)


def move_all(orphan: Orphan, ours: SpoolFile) -> list[bytes]:
    moved: list[bytes] = []
    over = False
    while not over:
        haul = orphan.move(ours, AT)
        moved += [row.body for row in haul.moved]
        over = haul.over
    return moved


def test_what_was_asked_of_a_file_that_cannot_be_written_is_not_done_and_the_file_kept(
    claim: Claim, ours: SpoolFile
) -> None:
    ask(claim.path, "replay", [1])
    orphan = Orphan(claim, failing(claim, replay=SpoolError("no")))

    assert len(move_all(orphan, ours)) == 2
    assert ours.dead_count() == 1
    assert ".corrupt-" in orphan.end(NOW)


def test_a_file_of_which_nothing_can_be_read_comes_to_an_end(claim: Claim, ours: SpoolFile) -> None:
    orphan = Orphan(claim, failing(claim, read=Damaged("no"), dead=Damaged("no")))

    assert move_all(orphan, ours) == []
    assert ".corrupt-" in orphan.end(NOW)


def test_a_file_of_which_nothing_can_be_forgotten_is_moved_once_and_kept(
    claim: Claim, ours: SpoolFile
) -> None:
    orphan = Orphan(claim, failing(claim, remove_rows=SpoolError("no")))

    assert move_all(orphan, ours) == [body("1"), body("2")]
    assert ".corrupt-" in orphan.end(NOW)


def test_a_file_on_a_disk_that_fails_is_no_failure_of_ours(claim: Claim, ours: SpoolFile) -> None:
    """Nor are dead letters that cannot be read; what was never read stays, by another name."""
    orphan = Orphan(claim, failing(claim, read=SpoolError("input/output error"), dead=SpoolError("the same")))

    assert move_all(orphan, ours) == []
    assert ".corrupt-" in orphan.end(NOW)


def test_a_file_that_somebody_has_locked_is_left_for_later(claim: Claim, ours: SpoolFile) -> None:
    orphan = Orphan(claim, failing(claim, read=SpoolFull("database is locked")))

    with pytest.raises(SpoolFull):
        orphan.move(ours, AT)
    orphan.leave()
    assert claim.path.exists()


def test_dead_letters_that_cannot_be_written_here_stay_there(claim: Claim, ours: SpoolFile) -> None:
    ours.close()
    orphan = Orphan(claim, failing(claim, read=Damaged("no")))

    with pytest.raises(SpoolError):
        move_all(orphan, ours)
    orphan.leave()
    assert claim.path.exists()


@pytest.mark.parametrize(
    "becomes", [2, 450, 16_000], ids=["one that was before", "a later one", "beyond all"]
)
def test_a_number_that_is_damaged_hides_no_other_event(folder: Folder, ours: SpoolFile, becomes: int) -> None:
    """A bit of a row's place in its file: no checksum sees it, and SQLite looks beyond it for more."""
    bodies = [body(str(number)) for number in range(1, 501)]
    claim = folder.new()
    file = SpoolFile.create(claim.path, {})
    file.append([(NOW, False, each) for each in bodies])
    file.append([(NOW, False, body("x", 30_000))] * 200)  # so that a piece is not all
    file.close()
    renumber(claim.path, 300, becomes, bodies[299])
    orphan = Orphan(claim, SpoolFile.open(claim.path))

    assert set(bodies) <= set(move_all(orphan, ours))
    assert ".corrupt-" in orphan.end(NOW)


def test_what_comes_again_and_again_since_the_order_is_damaged_comes_to_an_end(
    claim: Claim, ours: SpoolFile
) -> None:
    class Disordered(SpoolFile):
        def read(self, after: int, limit: int) -> tuple[list[Row], list[int]]:
            if limit > 1:
                raise Damaged("no")
            return super().read(min(after, 1), limit)

    orphan = Orphan(claim, Disordered.open(claim.path))

    assert move_all(orphan, ours) == [body("1"), body("2")]
    assert ".corrupt-" in orphan.end(NOW)


def test_rows_that_come_from_before_are_read_as_they_lie(claim: Claim, ours: SpoolFile) -> None:
    class Disordered(SpoolFile):
        def read(self, after: int, limit: int) -> tuple[list[Row], list[int]]:
            return super().read(0, 1)

        def remove_rows(self, rows: Sequence[Row]) -> None:
            """Does not find them."""

    orphan = Orphan(claim, Disordered.open(claim.path))

    assert set(move_all(orphan, ours)) == {body("1"), body("2")}
    assert ".corrupt-" in orphan.end(NOW)


@pytest.mark.parametrize("name", ["read", "read_as_they_lie"])
def test_rows_that_come_without_end_come_to_one(claim: Claim, ours: SpoolFile, name: str) -> None:
    """As where pages point to themselves: more rows than the file has room for."""

    class Endlessly(SpoolFile):
        def read(self, after: int, limit: int) -> tuple[list[Row], list[int]]:
            rows, damaged = super().read(0, limit)
            return [attrs.evolve(row, seq=after + row.seq) for row in rows], damaged

        def remove_rows(self, rows: Sequence[Row]) -> None:
            """Does not find them."""

    class AlsoAsTheyLie(Endlessly):
        def read(self, after: int, limit: int) -> tuple[list[Row], list[int]]:
            return super().read(0, limit)

        def read_as_they_lie(self, passed: int, limit: int) -> tuple[list[Row], list[int]]:
            return self.read(0, limit)

    orphan = Orphan(claim, {"read": Endlessly, "read_as_they_lie": AlsoAsTheyLie}[name].open(claim.path))

    assert len(move_all(orphan, ours)) < 5000
    assert ".corrupt-" in orphan.end(NOW)
    assert claim.path.name not in [path.name for path in claim.path.parent.glob("*.db")]


@pytest.mark.parametrize("at", [1, 2], ids=["at once", "as rows are read one by one"])
def test_of_a_file_on_which_a_statement_takes_too_long_no_more_is_read(
    claim: Claim, ours: SpoolFile, at: int
) -> None:
    reads: list[int] = []

    class Endlessly(SpoolFile):
        def read(self, after: int, limit: int) -> tuple[list[Row], list[int]]:
            reads.append(limit)
            raise Endless("takes too long") if len(reads) == at else SpoolError("cannot be read")

    orphan = Orphan(claim, Endlessly.open(claim.path))

    assert move_all(orphan, ours) == []
    assert len(reads) == at
    assert ".corrupt-" in orphan.end(NOW)


def test_rows_that_cannot_be_read_as_they_lie_are_read_one_by_one(claim: Claim, ours: SpoolFile) -> None:
    class Disordered(SpoolFile):
        def read(self, after: int, limit: int) -> tuple[list[Row], list[int]]:
            return super().read(after, limit) if limit == 1 else ([], [])

    orphan = Orphan(claim, failing(claim, Disordered, read_as_they_lie=Damaged("no")))

    assert move_all(orphan, ours) == [body("1"), body("2")]
    assert ".corrupt-" in orphan.end(NOW)


def test_a_file_of_which_not_every_dead_letter_is_found_is_kept(claim: Claim, ours: SpoolFile) -> None:
    class Hiding(SpoolFile):
        def dead_count(self) -> int:
            return super().dead_count() + 1

    orphan = Orphan(claim, Hiding.open(claim.path))
    move_all(orphan, ours)

    assert ours.dead_count() == 1
    assert ".corrupt-" in orphan.end(NOW)


def test_a_damaged_number_that_hides_events_leaves_those_that_wait_for_the_server_s_time(
    folder: Folder, ours: SpoolFile
) -> None:
    claim = folder.new()
    file = SpoolFile.create(claim.path, {})
    file.append([(NOW, False, body(str(number))) for number in range(1, 501)])
    file.append([(0, False, body("old"))])
    file.close()
    renumber(claim.path, 300, 16_000, body("300"))
    orphan = Orphan(claim, SpoolFile.open(claim.path))

    move_all(orphan, ours)

    assert orphan.waiting == 1
    assert orphan.end(NOW) == ""
    assert claim.path.exists()


def renumber(path: Path, seq: int, becomes: int, body: bytes) -> None:
    """Change a row's ``seq`` where it lies, as damage does: SQLite would move it."""

    def varint(number: int) -> bytes:  # of two bytes
        return bytes((0x80 | number >> 7, number & 0x7F))

    content = path.read_bytes()
    at = content.rindex(varint(seq), 0, content.index(body))
    assert content.index(body) - at < 20
    path.write_bytes(content[:at] + varint(becomes) + content[at + 2 :])


@pytest.mark.parametrize("damaged", [False, True])
def test_large_events_are_taken_a_few_megabytes_at_a_time(
    folder: Folder, ours: SpoolFile, *, damaged: bool
) -> None:
    claim = folder.new()
    file = SpoolFile.create(claim.path, {})
    sizes = [200] * 900 + [60_000] * 200 + [2 * READ_BYTES] + [200] * 10  # of which any average is wrong
    file.append([(NOW, False, body("x", size)) for size in sizes])
    orphan = Orphan(claim, file, damaged=damaged)
    pieces = []
    over = False
    while not over:
        haul = orphan.move(ours, AT)
        pieces.append([len(row.body) for row in haul.moved])
        over = haul.over
    orphan.leave()

    assert [size for piece in pieces for size in piece] == sizes
    assert [sum(piece) > READ_BYTES for piece in pieces].count(True) == 1
    assert [2 * READ_BYTES] in pieces
    assert len(pieces) < 10


class Unsynced(Folder):
    """A directory that cannot be synced."""

    def sync(self) -> None:
        raise SpoolError("no")


def test_a_file_whose_name_may_not_survive_is_not_begun(tmp_path: Path) -> None:
    runtime = Runtime(clock=lambda: 0.0, wall=lambda: NOW / 1000)
    disk = Disk(Unsynced(str(tmp_path)), "https://api.togai.com", 10**9, runtime)

    with pytest.raises(SpoolError):
        disk.open()
    assert list(tmp_path.iterdir()) == []
    assert not disk.works


class Taken(Folder):
    """A directory in which somebody else makes each new file first."""

    def new(self, *_: Any) -> Claim:
        claim = super().new()
        claim.path.touch()
        return claim


def test_a_file_that_cannot_be_made_leaves_nothing_open(tmp_path: Path) -> None:
    runtime = Runtime(clock=lambda: 0.0, wall=lambda: NOW / 1000)
    disk = Disk(Taken(str(tmp_path)), "https://api.togai.com", 10**9, runtime)

    with pytest.raises(SpoolError):
        disk.open()
    assert not disk.works


def test_an_orphan_waits_where_our_own_file_cannot_be_written(worlds: Any, folder: Path) -> None:
    first = worlds(spool=str(folder.path))
    first.put(3)
    first.pipeline.sync(1.0)
    die(first)
    second = worlds(spool=str(folder.path))
    second.pipeline.store.recovery.adoption.look_now()

    second.pipeline.store.recovery.adopt(lambda: None)

    assert second.pipeline.pending == 0
    assert second.pipeline.flush(100)
    assert second.pipeline.health.stats().recovered == 3


def test_what_is_saved_though_it_has_its_outcome_by_then_is_to_be_removed() -> None:
    shelf = Shelf()

    shelf.saved([b"settled meanwhile"], 1, there=[])

    assert shelf.take_leaving().gone == [1]


def test_a_file_that_cannot_be_looked_into_at_the_end_is_left(folder: Folder) -> None:
    disk = Disk(folder, "https://api.togai.com", 10**9, Runtime(clock=lambda: 0.0, wall=lambda: NOW / 1000))
    break_off(disk.open().path)
    disk.close()

    assert len(folder.paths()) == 1
    assert len(list(folder.orphans())) == 1


@pytest.mark.parametrize("is_asked", [False, True])  # then it is moved in pieces
def test_a_file_that_cannot_be_removed_once_it_is_moved_is_told_and_is_no_failure_of_ours(
    claim: Claim, folder: Folder, ours: SpoolFile, *, is_asked: bool
) -> None:
    claim.release()
    if is_asked:
        ask(claim.path, "purge", [99])
    told: list[str] = []
    adoption = Adoption(folder, "nobody", lambda: 0.0, lambda: 0.0, lambda _, text: told.append(text))
    assert adoption.find(NOW)
    Path(f"{claim.path}-journal").mkdir()

    hauls: list[Haul] = []
    while not (hauls and hauls[-1].over):
        adoption.move(ours, AT, lambda _, haul: hauls.append(haul))

    assert ours.pending()[0] == 2
    assert [text.partition(": ")[2] for text in told][-1] == (
        "cannot be removed: Is a directory; it is left as it is"
    )

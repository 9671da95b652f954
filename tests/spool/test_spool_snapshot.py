"""How much is in a file at one moment: the same as who reads all of it finds, and without a trace."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import attrs
import pytest

from togai_shipper.spool.errors import Damaged
from togai_shipper.spool.file import SELF_REPORT, SpoolFile
from togai_shipper.spool.rows import DeadLetter
from togai_shipper.spool.snapshot import Snapshot, snapshot

LETTER = DeadLetter("a", 5, b'{"id":"a"}', "rejected", 400, "no such schema", 1, 9)
META = {"base_url": "https://api.togai.com", "version": "0.2.0", SELF_REPORT: "{}", "host": "app-1"}
SEEN = Snapshot(2, 3, {"rejected": 2, "corrupt": 1}, META["base_url"], "0.2.0", "{}")


def left(folder: Path) -> Path:
    """A file as a killed process leaves it: with its ``-wal``, and with what SQLite shares of that."""
    path, copy = folder / "app-1-00000000.db", folder / "app-2-00000000.db"
    with closing(SpoolFile.create(path, META)) as file:
        file.append([(4, False, b"{}"), (3, True, b"{}")])
        file.bury([LETTER, attrs.evolve(LETTER, id="b"), attrs.evolve(LETTER, id="c", reason="corrupt")])
        for suffix in ("", "-wal", "-shm"):
            shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
    path.unlink()
    return copy


@pytest.mark.parametrize("is_left", [True, False])
def test_a_snapshot_says_how_much_there_is(tmp_path: Path, *, is_left: bool) -> None:
    assert snapshot(left(tmp_path), is_left=is_left) == SEEN


def test_a_snapshot_of_what_a_killed_process_has_left_changes_nothing(tmp_path: Path) -> None:
    path = left(tmp_path)
    before = {each: (each.read_bytes(), each.stat().st_mtime_ns) for each in tmp_path.iterdir()}

    snapshot(path, is_left=True)

    assert {each: (each.read_bytes(), each.stat().st_mtime_ns) for each in tmp_path.iterdir()} == before


def test_a_file_that_was_closed_is_seen_though_nothing_lies_beside_it(tmp_path: Path) -> None:
    path = left(tmp_path)
    SpoolFile.open(path).close()
    assert not Path(f"{path}-shm").exists()

    assert snapshot(path, is_left=True) == SEEN


def test_where_nothing_can_be_made_beside_it_it_is_seen_and_nothing_is(tmp_path: Path) -> None:
    path = left(tmp_path)
    SpoolFile.open(path).close()
    before = tmp_path.stat().st_mtime_ns

    assert snapshot(path, may_write=lambda _: False) == SEEN

    assert tmp_path.stat().st_mtime_ns == before


def test_who_comes_meanwhile_is_seen(tmp_path: Path) -> None:
    path = left(tmp_path)
    with closing(SpoolFile.open(path)) as file:
        file.append([(1, False, b"{}")])

        assert snapshot(path, is_left=True) == attrs.evolve(SEEN, pending=3, oldest_ms=1)


def test_damage_is_found(tmp_path: Path) -> None:
    path = left(tmp_path)
    path.write_bytes(b"garbage" * 1000)
    Path(f"{path}-wal").unlink()

    with pytest.raises(Damaged):
        snapshot(path, is_left=True)

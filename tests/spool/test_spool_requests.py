"""``spool.requests``: what a command asks of the process that has a file."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from spool_files import DAY, NOW, letter

from togai_shipper._event import id_of
from togai_shipper.spool.errors import SpoolError
from togai_shipper.spool.file import SpoolFile
from togai_shipper.spool.requests import MAX_BYTES, Request, ask, asked_of, carry_out, read_requests
from togai_shipper.spool.rows import PAST_WINDOW


@pytest.fixture
def db(tmp_path: Path) -> Path:
    path = tmp_path / "host-7-0123abcd.db"
    path.touch()
    return path


def leave(db: Path, content: bytes, name: str = "00000000") -> Path:
    path = Path(f"{db}.request-{name}")
    path.write_bytes(content)
    return path


def test_what_is_asked_is_read_the_oldest_first(db: Path) -> None:
    first, second = ask(db, "replay", [1, 5]), ask(db, "purge", range(2))
    os.utime(first, (1, 1))

    assert read_requests(db) == [Request(first, "replay", (1, 5)), Request(second, "purge", (0, 1))]


def test_a_request_is_beside_its_file_and_for_its_owner_alone(db: Path) -> None:
    path = ask(db, "replay", [1])

    assert path.parent == db.parent
    assert path.name.startswith(f"{db.name}.request-")
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(list(db.parent.iterdir())) == 2  # nothing unfinished is left


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_what_root_asks_the_application_can_read(db: Path) -> None:
    os.chown(db, 65_534, 65_534)

    path = ask(db, "replay", [1])

    assert (path.stat().st_uid, path.stat().st_gid) == (65_534, 65_534)


def test_what_is_asked_of_another_file_or_unfinished_is_not_ours(db: Path) -> None:
    other = db.with_name("host-8-0123abcd.db")
    other.touch()
    ask(other, "replay", [1])
    Path(f"{db}.request-0123abcd.new").write_text('{"what":"purge","numbers":[1]}')

    assert read_requests(db) == []


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\xff\x00",
        b"[" * 100_000,
        b"[]",
        b'{"what":"drop","numbers":[1]}',
        b'{"what":"replay"}',
        b'{"what":"replay","numbers":"12"}',
        b'{"what":"replay","numbers":[true]}',
        b'{"what":"replay","numbers":[1.5]}',
        b'{"what":"replay","numbers":[9223372036854775808]}',
        b'{"what":"replay","numbers":[1],"x":"' + b"x" * MAX_BYTES + b'"}',
    ],
)
def test_garbage_is_no_request_and_hides_none(db: Path, garbage: bytes) -> None:
    leave(db, garbage)

    path = ask(db, "purge", [3])

    assert read_requests(db) == [Request(path, "purge", (3,))]


def test_what_is_no_plain_file_is_no_request(db: Path) -> None:
    os.mkfifo(f"{db}.request-00000000")
    Path(f"{db}.request-00000001").mkdir()
    elsewhere = leave(db, json.dumps({"what": "purge", "numbers": [1]}).encode(), "elsewhere")
    Path(f"{db}.request-00000002").symlink_to(elsewhere)

    assert read_requests(db) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_another_user_asks_for_nothing_but_in_a_file_of_his_own(db: Path) -> None:
    path = ask(db, "purge", [1])
    os.chown(path, 3000, 3000)
    assert read_requests(db) == []

    os.chown(db, 3000, 3000)
    assert read_requests(db) == [Request(path, "purge", (1,))]


def test_what_togai_may_bill_twice_is_replayed_only_where_that_was_asked_for(path: Path) -> None:
    """Who writes a request may be no command of ours, and has checked nothing."""
    file = SpoolFile.create(path, {})
    file.bury([letter("old", accepted_ms=NOW - 41 * DAY), letter("past", PAST_WINDOW), letter("new")])

    def replayed(*, is_risky: bool) -> list[str]:
        ask(path, "replay", [1, 2, 3], is_risky=is_risky)
        (request,) = read_requests(path)
        return [id_of(row.body) for row in carry_out(request, file, NOW)]

    assert replayed(is_risky=False) == ["new"]
    assert replayed(is_risky=True) == ["old", "past"]
    assert read_requests(path) == []
    file.close()


def test_in_a_directory_that_is_gone_nothing_is_asked_nor_can_be(tmp_path: Path) -> None:
    db = tmp_path / "gone" / "host-7-0123abcd.db"

    assert read_requests(db) == []
    with pytest.raises(SpoolError, match="cannot be written: No such file"):
        ask(db, "replay", [1])


def test_a_request_that_cannot_be_finished_leaves_nothing_behind(db: Path) -> None:
    db.unlink()

    with pytest.raises(SpoolError, match="cannot be written"):
        ask(db, "replay", [1])

    assert list(db.parent.iterdir()) == []


def test_a_directory_tells_of_which_files_something_is_asked(tmp_path: Path) -> None:
    db = tmp_path / "host-7-0123abcd.db"
    db.touch()
    ask(db, "purge", [1])
    (tmp_path / "host-7-00000001.db").touch()

    assert asked_of(tmp_path) == {db.name}
    assert asked_of(tmp_path / "nowhere") == set()

"""The journals of a spool's directory: what waits and what is dead is read from the files themselves."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from spool_files import META

from togai_shipper import Event
from togai_shipper._journal import Counted, JournalError, read_journals
from togai_shipper.spool.file import SpoolFile

DAY = date(2026, 1, 31)


def event(event_id: str, schema: str = "api_call") -> bytes:
    return Event(schema, "acme", {"n": 1}, timestamp="2026-01-31T23:59:59Z", id=event_id).encode()


def test_what_waits_is_counted_by_day_schema_and_whose_the_id_is(tmp_path: Path) -> None:
    file = SpoolFile.create(tmp_path / "host-7-0123abcd.db", {**META, "host": "h", "pid": "7"})
    file.append(
        [(0, False, event("0" * 32)), (0, True, event("order-1")), (0, True, event("order-2", 'a"\\'))]
    )

    (journal,) = read_journals(tmp_path)

    assert (journal.host, journal.process, journal.kind, journal.is_complete) == ("h", "7", "spool", True)
    assert set(journal.counts) == {
        Counted(DAY, None, "api_call", is_chosen=False, account=None, fate="waiting", count=1),
        Counted(DAY, None, "api_call", is_chosen=True, account=None, fate="waiting", count=1),
        Counted(DAY, None, 'a"\\', is_chosen=True, account=None, fate="waiting", count=1),
    }
    file.close()


def test_a_file_that_cannot_be_read_is_a_journal_that_is_not_complete(tmp_path: Path) -> None:
    (tmp_path / "host-7-0123abcd.db").write_bytes(b"no database" * 100)

    (journal,) = read_journals(tmp_path)

    assert not journal.is_complete
    assert "not a database" in (journal.why_not or "")


@pytest.mark.parametrize("what", ["none", "file"])
def test_a_directory_that_is_none_is_told(tmp_path: Path, what: str) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(JournalError):
        read_journals(tmp_path / what)

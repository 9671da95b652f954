"""An export of journals: what is written is read, and what was cut off or changed is never summed."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from togai_shipper._journal import Counted, Journal, JournalError, Listed, read_export, written

DAY = date(2026, 1, 31)
NOON = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
COUNT = Counted(DAY, DAY, "api_call", is_chosen=False, account=None, fate="delivered", count=3)
WHOLE = Journal(
    "host-7-0123abcd",
    "host",
    "7",
    NOON,
    NOON + timedelta(hours=1),
    "spool",
    (COUNT, Counted(DAY, None, "api_call", is_chosen=True, account="acme", fate="waiting", count=1)),
    (Listed(DAY, DAY, "api_call", is_chosen=False, ids=("a", "b")),),
    DAY,
    is_complete=False,
    why_not="a file is damaged",
    doubts={DAY: "a file is damaged"},
    base_url="https://api.togai.com",
)

texts = st.text(st.characters(codec="utf-8"), max_size=8)
days = st.dates()
counts = st.builds(
    Counted,
    days,
    days | st.none(),
    texts,
    st.booleans(),
    texts | st.none(),
    st.sampled_from(["delivered", "dead", "purged", "dropped", "waiting"]),
    st.integers(0, 10**12),
)
ids = st.lists(texts, max_size=3).map(tuple)
journals = st.builds(
    Journal,
    texts,
    texts,
    texts,
    st.just(NOON),
    st.just(NOON),
    st.sampled_from(["spool", "relay"]),
    st.lists(counts, max_size=3).map(tuple),
    st.none() | st.lists(st.builds(Listed, days, days, texts, st.booleans(), ids), max_size=2).map(tuple),
    days | st.none(),
    st.booleans(),
    texts.filter(bool) | st.none(),
    st.dictionaries(days, texts, max_size=2),
    texts,
)


def exported(path: Path, *journals: Journal) -> Path:
    path.write_text("".join(f"{line}\n" for line in written(journals)), "utf-8")
    return path


@given(found=st.lists(journals, max_size=3, unique_by=lambda journal: journal.id))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, found: list[Journal]) -> None:
    path = tmp_path_factory.mktemp("export") / "a.jsonl"

    assert read_export(exported(path, *found)) == found


def test_of_two_with_one_id_the_later_counts_wherever_it_stands(tmp_path: Path) -> None:
    later = Journal(WHOLE.id, "host", "7", NOON, NOON + timedelta(hours=2), "spool", (COUNT, COUNT, COUNT))

    assert read_export(exported(tmp_path / "a", WHOLE, later)) == [later]
    assert read_export(exported(tmp_path / "b", later, WHOLE)) == [later]


def test_the_ids_of_a_day_are_those_of_all_its_schemas() -> None:
    other = Listed(DAY, DAY + timedelta(1), "storage", is_chosen=True, ids=("c",))
    journal = Journal("a", "h", "7", NOON, NOON, "spool", listed=(*(WHOLE.listed or ()), other))

    assert journal.ids == {DAY: {"a", "b", "c"}}
    assert Journal("a", "h", "7", NOON, NOON, "spool").ids is None


@pytest.mark.parametrize("last", range(6))
def test_a_file_that_was_cut_off_is_not_read(tmp_path: Path, last: int) -> None:
    lines = list(written([WHOLE]))
    path = tmp_path / "a"
    path.write_text("".join(f"{line}\n" for line in lines[:last]), "utf-8")

    with pytest.raises(JournalError, match=r"cut off|is not what"):
        read_export(path)


def test_a_line_that_is_missing_in_the_middle_is_noticed(tmp_path: Path) -> None:
    lines = list(written([WHOLE]))
    path = tmp_path / "a"
    path.write_text("\n".join(lines[:2] + lines[3:]))

    with pytest.raises(JournalError, match="line 5 is not what `spool journal export` writes"):
        read_export(path)


def test_a_newer_version_is_told_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text('{"togai_journal":2}\n')

    with pytest.raises(JournalError, match="its format is 2, of a newer version of togai-shipper"):
        read_export(path)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="cannot be read"):
        read_export(tmp_path / "none")


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        (0, "togai_journal", "1"),
        (0, "togai_journal", True),
        (1, "journal", 7),
        (1, "since", "2026-01-31T12:00:00"),
        (1, "kind", "file"),
        (2, "count", -1),
        (2, "count", 1.5),
        (2, "count", True),
        (2, "fate", "lost"),
        (2, "event_day", None),
        (4, "ids", [7]),
        (5, "end", "another"),
    ],
)
def test_a_value_that_is_none_of_ours_is_told_and_nothing_summed(
    tmp_path: Path, line: int, name: str, value: object
) -> None:
    lines = list(map(json.loads, written([WHOLE])))
    lines[line][name] = value
    path = tmp_path / "a"
    path.write_text("\n".join(map(json.dumps, lines)))

    with pytest.raises(JournalError, match="is not what"):
        read_export(path)


@pytest.mark.parametrize("line", ["7", "{}", '{"end":"export"}\n{"end":"export"}'])
def test_what_is_no_line_of_an_export_is_told(tmp_path: Path, line: str) -> None:
    path = tmp_path / "a"
    path.write_text(f'{{"togai_journal":1}}\n{line}\n')

    with pytest.raises(JournalError, match="is not what"):
        read_export(path)

"""A file is sent as it was when the command began."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from sending import CSV_HEADER, Send, accounts, environment, line, row, write

from togai_shipper.cli.send.claiming import claim_all
from togai_shipper.cli.send.inputs import Input, LineFormat, Unreadable
from togai_shipper.cli.send.job_record import JobRecord
from togai_shipper.cli.send.snapshot import Snapshot
from togai_shipper.testing import FakeTogai

NDJSON, CSV = LineFormat(is_csv=False), LineFormat(is_csv=True)


def begun(path: Path, form: LineFormat = NDJSON) -> Input:
    """Return an input as it is once the command has checked it."""
    source = Input(path.name, path, form)
    source.check()
    return source


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def numbers(source: Input) -> list[int]:
    return [number for number, _, _ in source.events()]


def test_what_is_appended_is_left_and_that_it_was_is_known(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text(f"{line()}\n{line()}\n")
    source = begun(path)
    append(path, f"{line()}\n")

    assert numbers(source) == [1, 2]
    assert source.has_grown
    assert [number for number, _ in source.again().raw_lines()] == [1, 2]
    assert source.size == len(f"{line()}\n{line()}\n")


def test_however_it_is_read_it_ends_where_it_ended(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"0123456789")
    with Snapshot(path) as snapshot:
        append(path, "more")

        assert snapshot.read() == snapshot.readall() + b"0123456789"
        assert snapshot.seekable()
        assert (snapshot.seek(-3, os.SEEK_END), snapshot.tell()) == (7, 7)
        assert (snapshot.read(2), snapshot.read(100), snapshot.read(1)) == (b"78", b"9", b"")
        assert snapshot.seek(100) == 100
        assert snapshot.read(1) == b""


def test_what_stays_as_it_is_has_not_grown(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text(f"{line()}\n" * 3000)  # longer than both of its ends that are compared
    source = begun(path)

    assert numbers(source) == [*range(1, 3001)]
    assert not source.has_grown


def test_a_row_that_becomes_longer_is_still_the_half_that_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{CSV_HEADER}{row(count=12)}")
    source = begun(path, CSV)
    append(path, "5\n")

    assert ["--complete takes it" in str(fields) for _, _, fields in source.events()] == [True]


@pytest.mark.parametrize(
    "how", ["replaced", "emptied", "shorter", "another beginning", "another end", "gone"]
)
def test_a_file_that_is_changed_meanwhile_is_not_read(tmp_path: Path, how: str) -> None:
    path = tmp_path / "a"
    text = "".join(f"{line(f'a{number}')}\n" for number in range(300))
    path.write_text(text)
    source = begun(path)
    if how == "replaced":
        (tmp_path / "b").write_text(text)
        (tmp_path / "b").rename(path)
    elif how == "gone":
        path.unlink()
    else:
        changed = {
            "emptied": "",
            "shorter": text[:-1],
            "another beginning": text.replace("a0", "b0"),
            "another end": text.replace("a299", "b299") + line(),
        }
        path.write_text(changed[how])

    why = "No such file" if how == "gone" else "it was changed, or replaced, after the command had begun"
    with pytest.raises(Unreadable, match=why):
        numbers(source)


def test_a_file_that_is_changed_while_it_is_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("".join(f"{line(f'a{number}')}\n" for number in range(30)))
    events = begun(path).events()
    next(events)
    path.write_text("")

    with pytest.raises(Unreadable, match="it was changed"):
        list(events)


def test_a_packed_file_that_grows_is_read_as_far_as_it_went(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(f"{line()}\n".encode()))
    source = begun(path)
    with path.open("ab") as file:
        file.write(gzip.compress(f"{line()}\n".encode()))

    assert numbers(source) == [1]
    assert source.has_grown


def test_no_line_is_sent_whose_id_was_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text(f"{line('a')}\n")
    source = begun(path)
    append(path, f"{line('b')}\n")

    with closing(JobRecord(tmp_path / "record.sqlite")) as record:
        claim_all(record, [(source, "job")], 1e9, job_is_named=True, same_events=False)
        claims = record.claims("job", 1e9)
    assert [claim.file is not None for claim in claims] == [True]
    assert numbers(source) == [1]


def test_a_line_that_is_appended_meanwhile_does_not_take_the_id_of_another_file_s_line(
    send: Send, togai: FakeTogai, tmp_path: Path
) -> None:
    growing, other = write("eu/a.ndjson", line("eu")), write("us/a.ndjson", line("same"))
    command = [sys.executable, "-m", "togai_shipper", "send", "--no-spool", "--json", "--job", "all"]
    reading, writing = os.pipe()
    with subprocess.Popen(
        [*command, f"/dev/fd/{reading}", str(growing)],
        pass_fds=[reading],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment(togai), "XDG_STATE_HOME": str(tmp_path / "state")},
    ) as process:
        os.close(reading)
        os.write(writing, f"{line('pipe')}\n".encode())
        togai.wait(lambda: togai.ledger.metered == 1, 30)  # so the ids are taken
        append(growing, f"{line('same')}\n")
        os.close(writing)
        out, errors = process.communicate(timeout=60)

    assert process.returncode == 1
    assert errors == (
        f"{growing}: has grown since the command began; what was added is left for the next run\n"
    )
    told = json.loads(out)
    assert (told["grown"], told["grown_files"], told["complete"]) == (1, [str(growing)], True)
    assert send(str(other), "--job", "all").exit_code == 0
    assert accounts(togai) == ["eu", "pipe", "same"]
    refused = send(str(growing), "--job", "all")
    assert (refused.exit_code, "has given this line's id" in refused.stderr) == (2, True)
    assert send(str(growing), "--job", "eu").exit_code == 0
    assert accounts(togai) == ["eu", "eu", "pipe", "same", "same"]

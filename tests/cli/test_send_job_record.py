"""The record of jobs over weeks, and of two commands at once."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sending import line, write

from togai_shipper.cli.send.claiming import Refused, claim_all
from togai_shipper.cli.send.earlier import Claim
from togai_shipper.cli.send.inputs import Input, LineFormat
from togai_shipper.cli.send.job_record import JobRecord, NotKept

DAY = 86_400.0
START = 1_767_225_600.0
NDJSON = LineFormat(is_csv=False)


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobRecord]:
    monkeypatch.chdir(tmp_path)
    with closing(JobRecord(tmp_path / "jobs" / "record.sqlite")) as made:
        yield made


def claim(name: str, days: float = 0) -> int:
    """Claim the lines of a file as a command does, so many days after the start."""
    with closing(JobRecord(Path("jobs/record.sqlite"))) as record:
        source = Input(name, Path(name), NDJSON)
        return claim_all(record, [(source, "job")], START + days * DAY, job_is_named=True, same_events=False)


def test_an_id_is_taken_for_as_long_as_togai_knows_it(record: JobRecord) -> None:
    write("x/a", line())
    write("y/a", line())
    claim("x/a")

    with pytest.raises(Refused):
        claim("y/a", 45)
    claim("y/a", 47)


def test_what_is_of_no_use_any_more_is_forgotten(record: JobRecord, tmp_path: Path) -> None:
    def used() -> int:
        return (tmp_path / "jobs" / "record.sqlite").stat().st_size

    sizes = []
    for month in range(6):
        write("a", *[line(f"{month} {each}") for each in range(5000)])
        claim("a", month * 30)
        sizes.append(used())

    assert sizes[1] > sizes[0]
    assert sizes[5] < 1.2 * sizes[2]
    assert len(record.jobs()) < 6


class SteppedRecord(JobRecord):
    """Calls a function within the transaction of a claim: before its first step, or before its last."""

    def __init__(self, path: Path, step: str, function: Callable[[], None]) -> None:
        super().__init__(path)
        self._step, self._function = step, function
        self._is_within = False

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with super().transaction():
            self._is_within = True
            yield

    def claims(self, job: str, now: float) -> list[Claim]:
        self._reach("it looks at what there is")
        return super().claims(job, now)

    def add_run(self, now: float) -> int:
        self._reach("it writes")
        return super().add_run(now)

    def _reach(self, step: str) -> None:
        if self._is_within and step == self._step:
            self._function()


@pytest.mark.parametrize("step", ["it looks at what there is", "it writes"])
def test_while_a_command_claims_no_other_can(record: JobRecord, tmp_path: Path, step: str) -> None:
    path = tmp_path / "jobs" / "record.sqlite"
    one, other = ([(Input(name, write(name, line()), NDJSON), "job")] for name in ("x/a", "y/a"))
    told: list[str] = []

    def claim_the_other() -> None:
        with closing(JobRecord(path, patience=0.0)) as second, pytest.raises(NotKept) as error:
            claim_all(second, other, START, job_is_named=True, same_events=False)
        told.append(str(error.value))

    with closing(SteppedRecord(path, step, claim_the_other)) as first:
        claim_all(first, one, START, job_is_named=True, same_events=False)

    assert told == [f"{path}: database is locked"]
    with pytest.raises(Refused):
        claim_all(record, other, START, job_is_named=True, same_events=False)


def test_of_two_commands_at_once_one_takes_the_id_and_one_is_refused(record: JobRecord) -> None:
    names = [f"{folder}/a" for folder in range(6)]
    for name in names:
        write(name, line())
    told: list[str] = []

    def run(name: str) -> None:
        try:
            claim(name)
        except Refused:
            told.append("refused")
        else:
            told.append("taken")

    threads = [threading.Thread(target=run, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert sorted(told) == ["refused"] * 5 + ["taken"]


def test_a_file_that_is_gone_meanwhile_is_in_no_record(record: JobRecord) -> None:
    with pytest.raises(NotKept):
        claim("gone")
    assert record.jobs() == []


@pytest.mark.parametrize(
    "lines", [[line(), line("x")], [line("y"), line(), line("z")]], ids=["it is equal", "it is longer"]
)
def test_a_new_file_that_gets_the_number_of_an_old_one_is_another(
    record: JobRecord, lines: list[str]
) -> None:
    write("x/a", line(), line("x"))
    claim("x/a")
    Path("y").mkdir()
    Path("x/a").rename("y/a")  # keeps the number
    write("y/a", *lines)
    os.utime("y/a", (START + 1, START + 1))

    with pytest.raises(Refused):
        claim("y/a")


def test_what_another_command_claims_while_this_one_reads_is_seen(record: JobRecord) -> None:
    write("x/a", line())
    write("y/a", line())

    first: list[int] = []

    class Slow(Input):
        """Lets another command go first once it is read."""

        def again(self) -> Input:
            if not first:
                first.append(claim("y/a"))
            return super().again()

    source = Slow("x/a", Path("x/a"), LineFormat(is_csv=False))
    with pytest.raises(Refused):
        claim_all(record, [(source, "job")], START, job_is_named=True, same_events=False)


def test_a_file_that_was_moved_to_where_another_was_is_both(record: JobRecord) -> None:
    write("x/a", line("x"))
    write("y/a", line("y"))
    claim("x/a")
    claim("y/a")
    Path("x/a").replace("y/a")
    claim("y/a")
    write("y/a", line("x"), line("y"))

    claim("y/a")

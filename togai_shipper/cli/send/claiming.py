"""Take the ids of all lines that are about to be sent, or refuse what would take those of other lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, suppress

from togai_shipper import InvalidEvent, Shipper

from .bad_line import BadLine, named
from .columns import BadHeader
from .earlier import Claim, EarlierRuns
from .file_identity import FileAtHand, file_at_hand
from .inputs import Input, Unreadable
from .job_record import JobRecord, NotKept
from .line_ids import LineIds
from .occurrences import OccurrenceCounter
from .results import Problem

_WAYS_OUT = (
    "--job NAME gives its lines new ids: what was billed is billed again, if these are the same events."
    " --same-events keeps the ids: what Togai has accepted stays as it is, and only what it has rejected"
    " can be billed by them."
)


class Refused(Exception):  # noqa: N818  it says what is done
    """Lines would take the ids of others; the text says which, and the ways out."""


def claim_all(
    record: JobRecord,
    inputs: Sequence[tuple[Input, str]],
    now: float,
    *,
    job_is_named: bool,
    same_events: bool,
) -> int:
    """Take the ids of all lines for this command, and return the number of its run.

    The files are read once for that, before anything is sent: after the half of a file no way out would be
    right. Lines that are appended meanwhile are not sent either: a ``Snapshot`` does not have them.

    Raises:
        Refused: the lines of a job meant something else before, some have ids of another file's lines, or a
            file was sent under another job's name, and no job is named now.
        NotKept: the record cannot be kept.

    """
    files = [_at_hand(source) for source, _ in inputs]
    if not same_events:
        _refuse_other_meanings(_earlier(record, inputs, now), inputs)
    _note_ids(record, inputs, files)
    with record.transaction():
        earlier = _earlier(record, inputs, now)
        if not same_events:
            _refuse_other_meanings(earlier, inputs)
        if not job_is_named:
            _refuse_other_names(record, inputs, files, earlier, now)
        _note_earlier(record, inputs, files, earlier)
        if not same_events:
            _refuse_taken(record, inputs)
        run = record.add_run(now)
        for at, ((source, job), file) in enumerate(zip(inputs, files, strict=True)):
            series = earlier[job].series_of(file)
            claim = Claim(
                id=0,
                run=run,
                series=series[0] if series else 0,
                began=now,
                file=None if file is None else file.identity,
                meaning=source.meaning,
                restarts=same_events,
            )
            record.add_claim(claim, job, source.name, at)
    record.shrink()
    return run


def _earlier(record: JobRecord, inputs: Sequence[tuple[Input, str]], now: float) -> dict[str, EarlierRuns]:
    return {job: EarlierRuns(record.claims(job, now)) for job in {job for _, job in inputs}}


def _at_hand(source: Input) -> FileAtHand | None:
    try:
        return None if source.path is None else file_at_hand(source.path)
    except OSError as error:
        raise NotKept(f"{source.name}: {error.strerror}") from error


def _refuse_other_meanings(earlier: dict[str, EarlierRuns], inputs: Sequence[tuple[Input, str]]) -> None:
    for source, job in inputs:
        if earlier[job].had_other_meanings(source.meaning):
            raise Refused(
                f"{source.name}: job {named(job)!r} has been sent with another mapping, header or format;"
                f" name this one with --job. {_WAYS_OUT}"
            )


def _refuse_other_names(
    record: JobRecord,
    inputs: Sequence[tuple[Input, str]],
    files: Sequence[FileAtHand | None],
    earlier: dict[str, EarlierRuns],
    now: float,
) -> None:
    """Refuse a file that was renamed, or that a link leads to: its lines would have ids of another job."""
    for (source, job), file in zip(inputs, files, strict=True):
        if file is None or earlier[job].series_of(file):
            continue
        for other, claim in record.claims_of_file(file.identity, now):
            if _is_as_before(source, file, claim) and any(True for _ in _lines_without_ids(source)):
                raise Refused(
                    f"{source.name}: this file has been sent as job {named(other)!r}, and would be billed"
                    f" again by its name here. --job {named(other)!r} keeps the ids of its lines: only new"
                    " ones are billed. --job NAME gives its lines new ids, and bills all of them."
                )


def _is_as_before(source: Input, file: FileAtHand, claim: Claim) -> bool:
    return (
        claim.file is not None
        and file.goes_on_from(claim.file)
        and source.meaning is not None
        and claim.meaning is not None
        and not source.meaning.is_another_than(claim.meaning)
    )


def _note_ids(
    record: JobRecord, inputs: Sequence[tuple[Input, str]], files: Sequence[FileAtHand | None]
) -> None:
    forms: dict[str, set[tuple[bool, bytes | None]]] = {}
    for source, job in inputs:
        forms.setdefault(job, set()).add((source.form.is_csv, source.header))
    with closing(OccurrenceCounter()) as counter:
        jobs: dict[str, LineIds] = {}
        for at, ((source, job), file) in enumerate(zip(inputs, files, strict=True)):
            if file is not None:
                ids = jobs.setdefault(job, LineIds(job, counter))
                # A line may be an event in one file and not in another: only those that are sent count.
                lines = _lines_without_ids(source) if len(forms[job]) > 1 else _raw_lines(source)
                record.note_fresh(at, ((number, ids.number(line)) for number, line in lines))


def _raw_lines(source: Input) -> Iterator[tuple[int, bytes]]:
    with suppress(Unreadable, BadHeader):  # who sends it says so
        yield from source.again().raw_lines()


def _note_earlier(
    record: JobRecord,
    inputs: Sequence[tuple[Input, str]],
    files: Sequence[FileAtHand | None],
    earlier: dict[str, EarlierRuns],
) -> None:
    ours = (
        (at, series)
        for at, ((_, job), file) in enumerate(zip(inputs, files, strict=True))
        for series in earlier[job].series_of(file)
    )
    record.note_earlier((claim for runs in earlier.values() for claim in runs.claims), ours)


def _refuse_taken(record: JobRecord, inputs: Sequence[tuple[Input, str]]) -> None:
    for at, (source, job) in enumerate(inputs):
        taken = record.taken(at)
        if (found := next(taken, None)) is None:
            continue
        for number, _ in _lines_without_ids(source):
            while found is not None and found[0] < number:
                found = next(taken, None)
            if found is None:
                break
            if found[0] == number:
                why = (
                    f"job {named(job)!r} has given this line's id to an equal line of {found[1]}, and Togai"
                    f" would take it for that one. {_WAYS_OUT}"
                )
                raise Refused(str(Problem.of(source, number, why)))


def _lines_without_ids(source: Input) -> Iterator[tuple[int, bytes]]:
    """Return the lines that are events, and have no ids of their own, with their numbers."""
    with suppress(Unreadable, BadHeader), Shipper(enabled=False, strict=True) as checking:
        for number, line, fields in source.again().events():
            if (
                line is None
                or isinstance(fields, BadLine)
                or "event_id" in fields
                or "idempotency_key" in fields
            ):
                continue
            with suppress(InvalidEvent):
                checking.track(**fields)
                yield number, line

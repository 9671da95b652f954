"""The inputs that a command names, each with its job, checked before anything is sent."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from .columns import BadHeader
from .file_names import first_pair, job_of, unpacked, why_nameless
from .inputs import Input, LineFormat, Unreadable


def chosen_inputs(
    files: Sequence[str],
    job: str | None,
    form_of: Callable[[str], LineFormat],
) -> list[tuple[Input, str]]:
    """Return the inputs, each with the name of its job. Raises ``click.UsageError``."""
    if not files:
        raise click.UsageError("Missing argument 'FILE...'.")
    if "-" not in files:
        _check_names(files, job)
        return [
            (Input(click.format_filename(name), Path(name), form_of(name)), job or job_of(Path(name)))
            for name in files
        ]
    if len(files) > 1:
        raise click.UsageError("- (standard input) cannot be combined with files.")
    if not job:
        raise click.UsageError("- (standard input) has no name to make ids from: give it one with --job.")
    if sys.stdin is None:
        raise click.UsageError("- (standard input) is closed.")
    return [(Input("-", None, form_of(""), stdin=sys.stdin.buffer), job)]


def _check_names(files: Sequence[str], job: str | None) -> None:
    for name in () if job else files:
        if why := why_nameless(Path(name)):
            raise click.UsageError(
                f"{click.format_filename(name)}: {why}, and has no name to make ids from that is the same in"
                " the next run: give it one with --job."
            )
    if pair := first_pair(files):
        one, other, how = pair
        raise click.UsageError(
            f"{click.format_filename(one)} and {click.format_filename(other)} {how}: "
            "its lines would be billed twice. Name it once."
        )


def is_csv(name: str, format_: str | None) -> bool:
    """Whether a file is CSV: as ``--format`` says, else by its name."""
    return format_ == "csv" if format_ else unpacked(name).lower().endswith((".csv", ".tsv"))


def check_for_csv(option: str, sources: Sequence[Input]) -> None:
    """Check that an option that is for CSV has some CSV among its inputs, if it has any."""
    if sources and not any(source.form.is_csv for source in sources):
        raise click.UsageError(f"{option} is for CSV, and no file is CSV; see --format.")


def check_inputs(sources: Sequence[Input]) -> None:
    """Check before anything is sent that each input can be opened, and has columns that make events."""
    for source in sources:
        try:
            source.check()
        except (Unreadable, BadHeader) as error:
            raise click.UsageError(f"{source.name}: {error}") from error


def check_rejects(rejects: Path, sources: Sequence[Input], files: Sequence[str]) -> None:
    """Check that bad lines can be kept in this file, and sent from it."""
    if rejects.exists() and any(Path(name).exists() and rejects.samefile(name) for name in files):
        raise click.UsageError(f"--rejects {rejects}: is one of the files to send.")
    if len({(source.form.is_csv, source.header) for source in sources}) > 1:
        raise click.UsageError(
            "--rejects takes lines of one format: send files with other columns separately."
        )

"""Where the first lines of an input are all bad for the same reason, it is not what it was taken for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import islice

from togai_shipper import InvalidEvent, Shipper

from .bad_line import BadLine
from .inputs import Input
from .parsing import Read, Unfinished
from .timestamps import complaint

FIRST = 20  # lines
_LIKE_CSV = re.compile(rb"""[^{\[\s"'].*[,;\t|]""")
_DIFFERS = re.compile(r"'[^']*'|\"[^\"]*\"|\d+")  # where the same complaint is made of two lines


def why_all_bad(sources: Iterable[Input]) -> str | None:
    """Say it, if the first lines of an input are all bad for the same reason; else return ``None``.

    Of an input that can be read only once, no more is read than up to the first line that is not.
    """
    with Shipper(enabled=False, strict=True) as checking:
        for source in sources:
            bad = [*islice(_bad_for_one_reason(source, checking), FIRST)]
            if len(bad) == FIRST:
                return _told(source, *bad[0])
    return None


def _bad_for_one_reason(source: Input, checking: Shipper) -> Iterator[tuple[bytes | None, str]]:
    """Return the lines, and why they are bad, up to one that is good, or bad for another reason."""
    first = None
    with closing(source.beginning()) as beginning:
        for read in beginning:
            why = _why_bad(read, checking)
            if why is None:
                return
            kind = _DIFFERS.sub("", why)
            first = first or kind
            if kind != first:
                return
            yield read[1], why


def _why_bad(read: Read, checking: Shipper) -> str | None:
    _, _, fields = read
    if isinstance(fields, BadLine):
        return None if isinstance(fields, Unfinished) else str(fields)
    try:
        checking.track(**fields)
    except InvalidEvent as invalid:
        return complaint(invalid, fields["timestamp"])
    return None


def _told(source: Input, line: bytes | None, why: str) -> str:
    kind = "objects" if source.has_objects else "rows" if source.form.is_csv else "lines"
    looks = not source.form.is_csv and line is not None and _LIKE_CSV.match(line)
    return (
        f"{source.name}: the first {FIRST} {kind} are all bad for the same reason: {why}."
        f"{' If this is CSV, say so with --format csv.' if looks else ''}"
        " Nothing was sent; --keep-going sends what is good."
    )

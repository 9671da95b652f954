"""What a file is by its first bytes, and what to do where these are no lines of text. Pure."""

from __future__ import annotations

import re

_TAR = slice(257, 262)  # where an archive of tar has "ustar"
_SAMPLE = 64  # bytes, by which UTF-16 is recognised

_UNPACK = "is packed by {}: unpack it with {}, and send what comes out"
_ARCHIVE = "is an archive ({}): unpack it, and send the files in it"
_EXPORT = "is {}: export what is in it as CSV or NDJSON, and send that"
_SAVE = "is a spreadsheet ({}): save it as CSV UTF-8, and send that"
_CONVERT = "is text in {0}: convert it with iconv -f {0} -t UTF-8, and send what comes out"
_PAGE = "is {}, neither NDJSON nor CSV: look what it says, it may be an error in the place of an export"

#: The first bytes of what cannot be read, and what to say of it; where a text may begin so, more of them.
_REFUSED: tuple[tuple[bytes, str], ...] = (
    (rb"[\x22-\x28]\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18", _UNPACK.format("zstd", "zstd -d")),
    (rb"\xfd7zXZ\0", _UNPACK.format("xz", "xz -d")),
    (rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)", _UNPACK.format("bzip2", "bzip2 -d")),
    (rb"\x04\x22\x4d\x18", _UNPACK.format("lz4", "lz4 -d")),
    (rb"\xff\x06\0\0sNaPpY", _UNPACK.format("snappy", "snzip -d")),
    (rb"LZIP\x01", _UNPACK.format("lzip", "lzip -d")),
    (rb"\x1f\x9d", _UNPACK.format("compress", "gzip -d")),
    (rb"7z\xbc\xaf\x27\x1c", _ARCHIVE.format("7z")),
    (rb"Rar!\x1a\x07", _ARCHIVE.format("rar")),
    (rb"PK\x03\x04.{26}mimetypeapplication/vnd\.oasis\.opendocument", _SAVE.format("OpenDocument")),
    (rb"PK\x03\x04.{26}(?:\[Content_Types\]\.xml|_rels/|docProps/|xl/)", _SAVE.format("xlsx")),
    (rb"PK(?:\x03\x04|\x05\x06|\x07\x08)", _ARCHIVE.format("zip")),
    (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", _SAVE.format("xls")),
    (rb"PAR[1E](?![\t -~])", _EXPORT.format("a Parquet file")),
    (rb"Obj\x01", _EXPORT.format("an Avro file")),
    (rb"ORC(?![\t -~])", _EXPORT.format("an ORC file")),
    (rb"ARROW1\0", _EXPORT.format("an Arrow file")),
    (rb"\x89HDF\r\n\x1a\n", _EXPORT.format("an HDF5 file")),
    (rb"SQLite format 3\0", _EXPORT.format("an SQLite database")),
    (rb"PGDMP(?![\t -~])", _EXPORT.format("a dump of PostgreSQL")),
    (rb"%PDF-", _PAGE.format("a PDF")),
    (rb"(?:\xef\xbb\xbf)?\s*(?i:<!doctype html|<html|<head)", _PAGE.format("a page of HTML")),
    (rb"(?:\xef\xbb\xbf)?\s*(?i:<\?xml)", _PAGE.format("XML")),
    (rb"\xff\xfe\0\0|\0\0\xfe\xff", _CONVERT.format("UTF-32")),
)
_RULES = tuple((re.compile(first, re.DOTALL), why) for first, why in _REFUSED)


def is_gzip(head: bytes) -> bool:
    """Whether it is packed by gzip."""
    return head.startswith(b"\x1f\x8b")


def is_utf16(head: bytes) -> bool:
    """Whether it is text in UTF-16, and says so by a byte order mark. Ask ``why_refused`` before."""
    return head.startswith((b"\xff\xfe", b"\xfe\xff"))


def why_refused(head: bytes) -> str | None:
    """Say what a file is that cannot be read as lines, and what to do; ``None`` if it may be read."""
    for first, why in _RULES:
        if first.match(head):
            return why
    if head[_TAR] == b"ustar":
        return _ARCHIVE.format("tar")
    return _why_no_mark(head[:_SAMPLE])


def _why_no_mark(sample: bytes) -> str | None:
    """Recognise UTF-16 without a byte order mark: every other byte of Latin letters is zero."""
    first, second = sample[0::2], sample[1::2]
    if len(second) > 1 and 0 not in first and not any(second):
        return _CONVERT.format("UTF-16LE")
    if len(second) > 1 and 0 not in second and not any(first):
        return _CONVERT.format("UTF-16BE")
    return None

"""What a file is by its first bytes: read where that is certain, else told in one line."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import json
import lzma
import sqlite3
import tarfile
import tempfile
import zipfile
from contextlib import closing
from pathlib import Path

import pytest
from sending import CSV_HEADER, Send, accounts, line, row

from togai_shipper.cli.send.file_kinds import why_refused
from togai_shipper.testing import FakeTogai

CSV = f"{CSV_HEADER}{row('a')}\n{row('é')}\n"
NDJSON = f"{line('a')}\n{line('b')}\n"


def zipped(name: str, content: str) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(name, content)
    return archive.getvalue()


def tarred(content: bytes) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as file:
        told = tarfile.TarInfo("a.csv")
        told.size = len(content)
        file.addfile(told, io.BytesIO(content))
    return archive.getvalue()


def database() -> bytes:
    with tempfile.TemporaryDirectory() as folder, closing(sqlite3.connect(f"{folder}/a.db")) as made:
        made.execute("CREATE TABLE t (a)")
        return Path(folder, "a.db").read_bytes()


REFUSED = {
    "zstd": (b"\x28\xb5\x2f\xfd\x04\x00", "is packed by zstd: unpack it with zstd -d"),
    "zstd, skippable frame": (b"\x50\x2a\x4d\x18\x04\x00", "is packed by zstd"),
    "xz": (lzma.compress(CSV.encode()), "is packed by xz: unpack it with xz -d"),
    "bzip2": (bz2.compress(CSV.encode()), "is packed by bzip2"),
    "bzip2 of nothing": (bz2.compress(b""), "is packed by bzip2"),
    "lz4": (b"\x04\x22\x4d\x18\x64", "is packed by lz4"),
    "compress": (b"\x1f\x9d\x90", "is packed by compress"),
    "zip": (zipped("a.csv", CSV), "is an archive (zip): unpack it"),
    "empty zip": (b"PK\x05\x06" + bytes(18), "is an archive (zip)"),
    "xlsx": (zipped("[Content_Types].xml", "<x/>"), "is a spreadsheet (xlsx): save it as CSV UTF-8"),
    "xlsx, sheets first": (zipped("xl/workbook.xml", "<x/>"), "is a spreadsheet (xlsx)"),
    "ods": (
        zipped("mimetype", "application/vnd.oasis.opendocument.spreadsheet"),
        "is a spreadsheet (OpenDocument)",
    ),
    "xls": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is a spreadsheet (xls)"),
    "tar, packed": (tarred(CSV.encode()), "is an archive (tar)"),
    "7z": (b"7z\xbc\xaf\x27\x1c", "is an archive (7z)"),
    "Parquet": (b"PAR1\x15\x04\x15", "is a Parquet file: export what is in it"),
    "Avro": (b"Obj\x01\x04\x14avro.codec", "is an Avro file"),
    "ORC": (b"ORC\x0a\x03", "is an ORC file"),
    "Arrow": (b"ARROW1\0\0", "is an Arrow file"),
    "SQLite": (database(), "is an SQLite database"),
    "PDF": (b"%PDF-1.7\n", "is a PDF"),
    "HTML": (b"\xef\xbb\xbf\n<!DOCTYPE HTML><title>Sign in</title>\n", "is a page of HTML"),
    "XML": (b"<?xml version='1.0'?>\n<rows/>", "is XML"),
    "UTF-32": (CSV.encode("utf-32"), "is text in UTF-32: convert it with iconv -f UTF-32 -t UTF-8"),
    "UTF-16, no mark": (CSV.encode("utf-16-le"), "is text in UTF-16LE: convert it with iconv -f UTF-16LE"),
    "UTF-16 BE, no mark": (NDJSON.encode("utf-16-be"), "is text in UTF-16BE"),
    "gzip twice": (gzip.compress(gzip.compress(CSV.encode())), "is packed by gzip twice"),
    "zip in gzip": (gzip.compress(zipped("a.csv", CSV)), "is an archive (zip)"),
}


@pytest.mark.parametrize(("content", "why"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("name", ["a.csv", "a.ndjson"])
def test_what_holds_no_lines_is_told_in_one_line_with_what_to_do_and_nothing_is_sent(
    send: Send, togai: FakeTogai, name: str, content: bytes, why: str
) -> None:
    Path(name).write_bytes(content)
    Path("good.ndjson").write_text(NDJSON)

    result = send("good.ndjson", name)

    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith(f"Error: {name}: {why}")
    assert not togai.requests


def test_what_comes_by_a_pipe_is_told_likewise(send: Send) -> None:
    result = send("-", "--job", "night", stdin=lzma.compress(CSV.encode()))

    assert result.exit_code == 2
    assert "Error: -: is packed by xz" in result.stderr


@pytest.mark.parametrize(
    "text", ["PAR1,n\n", "ORC,n\n", "PKG,n\n", "Objects\n", "\n\n", "", "a\0b", "\0" * 600]
)
def test_a_text_that_begins_like_something_else_is_a_text(text: str) -> None:
    assert why_refused(text.encode()) is None


# --- what is read -----------------------------------------------------------------------------------------


READ = {
    "Excel's UTF-8": ("a.csv", CSV.encode("utf-8-sig")),
    "UTF-16": ("a.csv", codecs.BOM_UTF16_LE + CSV.encode("utf-16-le")),
    "UTF-16 BE": ("a.csv", codecs.BOM_UTF16_BE + CSV.encode("utf-16-be")),
    "UTF-16, packed": ("a.csv", gzip.compress(CSV.encode("utf-16"))),
    "PowerShell's JSON": ("a.json", f"[{line('a')},\r\n{line('é')}]\r\n".encode("utf-16")),
    "packed": ("a.csv.gz", gzip.compress(CSV.encode())),
    "packed, in capitals": ("a.CSV.GZ", gzip.compress(CSV.encode())),
    "packed, a longer name": ("a.csv.gzip", gzip.compress(CSV.encode())),
    "packed, no name": ("a.csv", gzip.compress(CSV.encode())),
    "packed in parts": ("a.csv", gzip.compress(CSV.encode()[:70]) + gzip.compress(CSV.encode()[70:])),
    "tabs": ("a.tsv", CSV.replace(",", "\t").encode()),
    "tabs, packed": ("A.TSV.GZ", gzip.compress(CSV.replace(",", "\t").encode())),
    "sep=": ("a.csv", f"sep=;\r\n{CSV.replace(',', ';')}".encode()),
    "array": ("a.json", f"[{line('a')}, {line('é')}]".encode()),
    "array, packed": ("a.json", gzip.compress(f"[{line('a')}, {line('é')}]".encode())),
    "lines of JSON": ("a", f"{line('a')}\n{line('é')}".encode("utf-8-sig")),
    "pretty": ("a.json", json.dumps([json.loads(line(each)) for each in "aé"], indent=2).encode()),
    "one after another": ("a.json", f"{line('a')}{line('é')}".encode()),
}


@pytest.mark.parametrize(("name", "content"), READ.values(), ids=READ)
def test_where_it_is_certain_what_it_is_it_is_read(
    send: Send, togai: FakeTogai, name: str, content: bytes
) -> None:
    Path(name).write_bytes(content)

    for _ in range(2):
        result = send(name)
        assert (result.exit_code, result.stderr) == (0, ""), result.output
    assert accounts(togai) == ["a", "é"]


def test_by_a_pipe_it_is_read_likewise(send: Send, togai: FakeTogai) -> None:
    assert send("-", "--job", "j", stdin=gzip.compress(NDJSON.encode())).exit_code == 0
    assert send("-", "--job", "n", "--format", "csv", stdin=CSV.encode("utf-16")).exit_code == 0
    assert accounts(togai) == ["a", "a", "b", "é"]


def test_a_line_has_one_id_however_it_is_packed_and_encoded(send: Send, togai: FakeTogai) -> None:
    for content in (CSV.encode(), CSV.encode("utf-16"), gzip.compress(CSV.encode("utf-8-sig"))):
        Path("a.csv").write_bytes(content)
        assert send("a.csv").exit_code == 0

    assert accounts(togai) == ["a", "é"]


def test_an_array_and_lines_of_the_same_objects_have_the_same_ids(send: Send, togai: FakeTogai) -> None:
    for content in (NDJSON, f"[{line('a')}, {line('b')}]", f"[\n{line('a')},\n{line('b')}\n]\n"):
        Path("a.json").write_text(content)
        assert send("a.json").exit_code == 0

    assert accounts(togai) == ["a", "b"]

"""Files that have no name, and files that are named twice: both would be billed twice, and are refused."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sending import Send, accounts, environment, line, write

from togai_shipper.cli.send.file_names import job_of
from togai_shipper.testing import FakeTogai


@pytest.mark.parametrize(
    "command",
    [
        "send <(cat a)",
        "send <(cat a) <(cat b)",
        "send /dev/stdin < a",
        "cat a | send /dev/stdin",
        "send /dev/fd/7 7< a",
        "send /proc/self/fd/7 7< a",
        "ln -s /dev/stdin link; send link < a",
        "ln -s link other; ln -s /dev/fd/7 link; send ./other 7< a",
        "mkfifo fifo; send fifo",
        "send /dev/null",
    ],
)
def test_what_has_no_name_demands_a_job(togai: FakeTogai, tmp_path: Path, command: str) -> None:
    (tmp_path / "a").write_text(line() + "\n")
    (tmp_path / "b").write_text(line("b") + "\n")
    program = f'send() {{ "{sys.executable}" -m togai_shipper send --no-spool "$@"; }}; {command}'

    ended = subprocess.run(
        ["/bin/bash", "-c", program],
        cwd=tmp_path,
        env={**os.environ, **environment(togai), "XDG_STATE_HOME": str(tmp_path / "state")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 2, ended.stdout + ended.stderr
    assert "has no name to make ids from" in ended.stderr
    assert "--job" in ended.stderr
    assert not togai.requests


def test_with_a_job_it_is_sent_and_again_it_is_billed_once(send: Send, togai: FakeTogai) -> None:
    for _ in range(2):
        reading, writing = os.pipe()
        os.write(writing, f"{line()}\n".encode())
        os.close(writing)
        assert send(f"/dev/fd/{reading}", "--job", "night").exit_code == 0
        os.close(reading)

    assert accounts(togai) == ["acme"]


@pytest.mark.parametrize(
    ("files", "how"),
    [
        (("a.ndjson", "a.ndjson"), "are the same file"),
        (("a.ndjson", "./a.ndjson"), "are the same file"),
        (("a.ndjson", "b.ndjson", "folder/../a.ndjson"), "are the same file"),
        (("a.ndjson", "link.ndjson"), "are the same file"),
        (("hard.ndjson", "a.ndjson"), "are the same file"),
        (("a.ndjson", "linked/a.ndjson"), "are the same file"),
        (("a.ndjson", "a.ndjson.gz"), "are a file and its packed copy"),
        (("a.ndjson.gz", "b.ndjson", "./a.ndjson"), "are a file and its packed copy"),
        (("link.ndjson", "a.ndjson.gz"), "are a file and its packed copy"),
        (("a.ndjson", "a.ndjson.GZ"), "are a file and its packed copy"),
        (("a.ndjson.Gz", "a.ndjson.gzip"), "are a file and its packed copy"),
        (("a.ndjson", "b.ndjson", "backup"), "are a file and its packed copy"),
        (("a.ndjson", "folder/a.bak"), "are a file and its packed copy"),
    ],
)
@pytest.mark.parametrize("job", [(), ("--job", "one")])
def test_a_file_that_is_named_twice_is_wrong_usage_and_both_names_are_told(
    send: Send, togai: FakeTogai, files: tuple[str, ...], how: str, job: tuple[str, ...]
) -> None:
    write("a.ndjson", line())
    write("b.ndjson", line("b"))
    Path("a.ndjson.gz").write_bytes(gzip.compress(Path("a.ndjson").read_bytes()))
    Path("link.ndjson").symlink_to("a.ndjson")
    os.link("a.ndjson", "hard.ndjson")
    Path("folder").mkdir()
    for name in ("a.ndjson.GZ", "a.ndjson.Gz", "a.ndjson.gzip", "backup", "folder/a.bak"):
        Path(name).write_bytes(Path("a.ndjson.gz").read_bytes())
    Path("linked").symlink_to(".")

    result = send(*files, *job)

    assert result.exit_code == 2
    assert f"{files[0]} and {files[-1]} {how}" in result.stderr
    assert not togai.requests


def test_files_of_one_name_in_two_folders_are_two_files(send: Send, togai: FakeTogai) -> None:
    write("x/a.ndjson", line("x"))
    write("y/a.ndjson", line("y"))
    Path("z").mkdir()
    Path("z/a.ndjson.gz").write_bytes(gzip.compress(f"{line('z')}\n".encode()))

    assert send("x/a.ndjson", "y/a.ndjson", "z/a.ndjson.gz").exit_code == 0
    assert accounts(togai) == ["x", "y", "z"]


def test_a_file_and_another_one_packed_are_two_files(send: Send, togai: FakeTogai) -> None:
    write("a.ndjson", line("a"))
    write("empty.ndjson")
    for name, content in (("b.gz", line("b") + "\n"), ("c.gz", ""), ("d.gz", line("d"))):
        Path(name).write_bytes(gzip.compress(content.encode()))
    Path("tiny").write_bytes(b"\x1f\x8b")

    assert send("a.ndjson", "empty.ndjson", "b.gz", "d.gz").exit_code == 0
    assert accounts(togai) == ["a", "b", "d"]
    assert send("empty.ndjson", "c.gz").exit_code == 0
    assert send("a.ndjson", "tiny").exit_code == 1


def test_a_file_that_was_packed_since_has_its_ids_still_whatever_capitals_its_name_has(
    send: Send, togai: FakeTogai
) -> None:
    write("a.ndjson", line("a"), line("b"))
    packed = gzip.compress(Path("a.ndjson").read_bytes())
    assert send("a.ndjson").exit_code == 0

    for name in ("a.ndjson.gz", "a.ndjson.GZ", "a.ndjson.gzip"):
        Path(name).write_bytes(packed)
        assert send(name).exit_code == 0
        assert send(name, "--job", "a.ndjson").exit_code == 0

    assert accounts(togai) == ["a", "b"]


def test_what_is_called_like_a_packed_file_and_is_none_keeps_all_of_its_name(tmp_path: Path) -> None:
    plain = tmp_path / "a.ndjson.GZ"
    plain.write_text(line())

    assert job_of(plain) == "a.ndjson.GZ"
    assert job_of(tmp_path / "missing.gz") == "missing"


def test_links_in_a_circle_are_told(send: Send) -> None:
    Path("a").symlink_to("b")
    Path("b").symlink_to("a")

    result = send("a")

    assert result.exit_code == 2
    assert "a: Too many levels of symbolic links" in result.stderr


def test_a_fifo_and_a_descriptor_are_wrong_usage(send: Send, togai: FakeTogai) -> None:
    os.mkfifo("fifo")
    Path("link").symlink_to("/dev/stdin")

    for name, why in (("fifo", "is no regular file"), ("link", "is a descriptor of this process")):
        result = send(name)
        assert result.exit_code == 2
        assert f"{name}: {why}" in result.stderr

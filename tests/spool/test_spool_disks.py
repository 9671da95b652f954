"""Power cuts, and disks that fail: a preloaded library sees what reaches a file, or lets it fail."""

from __future__ import annotations

import errno
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from herd import KILLED, Herd, behave, herd, judged

from togai_shipper._event import id_of
from togai_shipper.spool.errors import SpoolError
from togai_shipper.spool.file import SpoolFile
from togai_shipper.testing import FakeTogai, faults

pytestmark = pytest.mark.processes

__all__ = ["herd"]  # a fixture

SOURCE = Path(__file__).parent.parent / "programs" / "disk.c"
SECTOR = 512
COMMITS = 1500  # more than a WAL takes before its pages go where they belong
CUTS = 60


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> str:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler here")
    library = tmp_path_factory.mktemp("shim") / "disk.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl"], check=True)
    return str(library)


# --- power cuts ------------------------------------------------------------------------------------------


@attrs.frozen
class Call:
    """What was recorded of one."""

    name: str
    path: str
    offset: int
    data: bytes


def calls(log: Path) -> Iterator[Call]:
    with log.open("rb") as file:
        while head := file.readline():
            name, path, offset, length = head.decode().split()
            data = b"" if name in {"truncate", "sync", "create", "unlink"} else file.read(int(length))
            yield Call(name, path, int(offset), data)


def acknowledged(call: Call) -> list[str]:
    """The ids that were said to be safe by it."""
    words = call.data.decode().split()
    return [word.partition("=")[2] for word in words[1:]] if words[0] == "safe" else []


class Files:
    """The files of a directory, as they would be after a power cut."""

    def __init__(self) -> None:
        self._synced: dict[str, bytearray] = {}
        self._later: dict[str, list[Call]] = {}
        self._unlinked: set[str] = set()  # and the directory was not synced since
        self._named: dict[str, bool] = {}  # whether the directory, with the name in it, was synced since

    def call(self, call: Call) -> None:
        if call.name == "sync":
            for done in self._later.pop(call.path, []):
                _apply(self._synced.setdefault(done.path, bytearray()), done)
            if call.path not in self._named:  # the directory's own
                self._named = dict.fromkeys(self._named.keys() - self._unlinked, True)
                self._unlinked.clear()
        elif call.name == "create":
            self._named.setdefault(call.path, False)
        elif call.name == "unlink":
            self._unlinked.add(call.path)
        elif call.name in {"write", "truncate"}:
            self._later.setdefault(call.path, []).append(call)

    def unsynced(self) -> set[str]:
        """What a power cut might take something from."""
        names = {path for path, is_named in self._named.items() if not is_named}
        return {path for path in {*self._later, *names} if path.endswith((".db", "-wal"))}

    def cut(self, into: Path, chance: random.Random) -> list[Path]:
        """Write them as they may be after a power cut now: each unsynced write whole, not at all, or torn."""
        made = []
        for path, is_named in self._named.items():
            is_sure = is_named and path not in self._unlinked
            if path.endswith("-shm") or not (is_sure or chance.random() < 0.5):
                continue
            content = bytearray(self._synced.get(path, b""))
            for call in self._later.get(path, []):
                fate = chance.random()
                if fate < 0.4:
                    _apply(content, call)
                elif fate < 0.6 and call.name == "write":
                    kept = SECTOR * chance.randrange(1 + len(call.data) // SECTOR)
                    _apply(content, attrs.evolve(call, data=call.data[:kept]))
            made.append(into / Path(path).name)
            made[-1].write_bytes(content)
        return made


def _apply(content: bytearray, call: Call) -> None:
    if call.name == "truncate":
        del content[call.offset :]
        content.extend(bytes(call.offset - len(content)))
    else:
        content.extend(bytes(max(0, call.offset - len(content))))
        content[call.offset : call.offset + len(call.data)] = call.data


def ids_in(paths: list[Path]) -> set[str]:
    found: set[str] = set()
    for path in paths:
        if path.suffix != ".db":
            continue
        try:
            file = SpoolFile.open(path)
        except SpoolError:
            continue
        after = 0
        while rows := file.read(after, 5000)[0]:
            found.update(id_of(row.body) for row in rows)
            after = rows[-1].seq
        file.close()
    return found


def recorded(togai: FakeTogai, herd: Herd, shim: str, *arguments: str) -> list[Call]:
    """What a process calls that commits, and is answered nothing but 503, so that nothing is deleted."""
    togai.on_request = lambda received: faults.Refuse(503)
    log = herd.spool.with_suffix(".log")
    herd.spool.mkdir()  # its own name is not the question
    status = herd.run(
        "commit",
        "--events",
        str(COMMITS),
        *arguments,
        LD_PRELOAD=shim,
        SHIM_DIR=str(herd.spool),
        SHIM_LOG=str(log),
    )
    assert status == KILLED, herd.errors
    return list(calls(log))


def unsafe_marks(made: list[Call]) -> list[int]:
    """Where something was said to be safe while a write to the file or its WAL was not synced.

    That may be how the process stands, which is written when nothing else is to be done.
    """
    files, unsafe = Files(), []
    for number, call in enumerate(made):
        files.call(call)
        if call.name == "mark" and acknowledged(call) and files.unsynced():
            unsafe.append(number)
    return unsafe


def lost_by_cuts(made: list[Call], folder: Path) -> int:
    """How many of some power cuts cost something that had been said to be safe: also where it was said."""
    chance = random.Random(3)
    first = next(number for number, call in enumerate(made) if call.name == "mark")
    cuts = {*chance.sample(range(first, len(made)), CUTS), *unsafe_marks(made)}
    files, safe, losses = Files(), set[str](), 0
    for number, call in enumerate(made):
        files.call(call)
        if call.name == "mark":
            safe.update(acknowledged(call))
        if number in cuts:
            into = folder / str(number)
            into.mkdir()
            losses += not safe <= ids_in(files.cut(into, chance))
    return losses


def test_what_is_said_to_be_safe_was_synced_before_and_survives_a_power_cut(
    togai: FakeTogai, herd: Herd, shim: str, tmp_path: Path
) -> None:
    """Would notice ``synchronous=NORMAL``."""
    made = recorded(togai, herd, shim)

    assert sum(bool(acknowledged(call)) for call in made if call.name == "mark") == COMMITS
    assert any(call.name == "write" and call.path.endswith(".db") and call.offset for call in made)
    assert len(unsafe_marks(made)) < COMMITS // 4
    assert lost_by_cuts(made, tmp_path) == 0


@pytest.mark.night
def test_synchronous_normal_would_be_noticed(togai: FakeTogai, herd: Herd, shim: str, tmp_path: Path) -> None:
    made = recorded(togai, herd, shim, "--mutant", "NORMAL for FULL")

    assert len(unsafe_marks(made)) > COMMITS // 2
    assert lost_by_cuts(made, tmp_path) > CUTS // 4


# --- disks that fail -------------------------------------------------------------------------------------


@pytest.mark.parametrize("why", ["ENOSPC", "EIO", "EROFS"])
def test_while_the_disk_fails_delivery_goes_on_from_memory_and_afterwards_the_spool_works_again(
    togai: FakeTogai, herd: Herd, shim: str, tmp_path: Path, why: str
) -> None:
    flag = tmp_path / "failing"
    status = herd.run(
        "suffer",
        "--flag",
        str(flag),
        LD_PRELOAD=shim,
        SHIM_DIR=str(herd.spool),
        SHIM_FLAG=str(flag),
        SHIM_ERRNO=str(getattr(errno, why)),
    )
    assert status == 0, herd.errors
    assert herd.words("durable") == ["True", "False", "False", "True", "True"]
    assert herd.words("delivered") == ["True"]
    assert herd.words("healthy") == ["False"]
    assert float(herd.words("busy")[0]) < 0.3
    assert len(herd.complaints) == 1, herd.errors
    herd.drained()

    judgement = judged(togai, herd)
    assert judgement.is_right, judgement
    assert judgement.safe > 340
    assert judgement.safe == judgement.metered
    assert len(herd.complaints) == 1, herd.errors
    assert herd.left_behind == []


def test_without_a_file_descriptor_to_spare_nothing_is_lost(togai: FakeTogai, herd: Herd) -> None:
    assert herd.run("starve") == 0, herd.errors
    assert herd.words("durable") == ["True", "True"]
    herd.drained()

    judgement = judged(togai, herd)
    assert judgement.is_right, judgement
    assert judgement.safe == judgement.metered > 40
    assert len(herd.complaints) == 1, herd.errors
    assert herd.left_behind == []


def test_a_directory_that_is_removed_is_noticed_and_made_again(togai: FakeTogai, herd: Herd) -> None:
    togai.on_request = lambda received: faults.Refuse(503)
    herd.killed("lose it")
    behave(togai)
    herd.drained()

    judgement = judged(togai, herd)
    assert judgement.is_right, judgement
    assert judgement.safe == judgement.metered > 40
    assert len(herd.complaints) == 1, herd.errors
    assert herd.left_behind == []


# --- what a commit takes ---------------------------------------------------------------------------------


def statements(herd: Herd, *arguments: str) -> set[str]:
    herd.killed("count", "--events", "200", *arguments)
    return set(herd.words("statements"))


def test_a_commit_is_one_statement(togai: FakeTogai, herd: Herd) -> None:
    """Each gives up the GIL, and has to win it back from a busy application. Would notice ``executemany``."""
    togai.on_request = lambda received: faults.Refuse(503)
    assert statements(herd) == {"1"}


def test_a_statement_for_each_row_would_be_noticed(togai: FakeTogai, herd: Herd) -> None:
    togai.on_request = lambda received: faults.Refuse(503)
    assert max(map(int, statements(herd, "--mutant", "executemany for the one statement"))) > 100

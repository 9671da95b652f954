"""``spool.folder``: whose file is whose."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from togai_shipper.spool import folder as spool_folder
from togai_shipper.spool.errors import SpoolError
from togai_shipper.spool.file import SpoolFile
from togai_shipper.spool.folder import OURS, Claim, Folder, filesystem_of

# A child of these tests needs none of the threads that other tests may have left running.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")

# Another process: says what came of its claim, keeps it until it is told to let go, or is killed.
CLAIMANT = """
import pathlib, sys
from togai_shipper.spool.folder import Folder
path = pathlib.Path(sys.argv[1])
claim = Folder(str(path.parent)).claim(path)
print("held" if claim is None else "claimed", flush=True)
for order in sys.stdin:
    claim.release()
    print("released", flush=True)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Folder(str(tmp_path / "spool"))
    made.prepare()
    return made


@pytest.fixture
def path(folder: Folder) -> Path:
    """A file whose process is gone."""
    claim = folder.new()
    SpoolFile.create(claim.path, {}).close()
    claim.release()
    return claim.path


@pytest.fixture
def another() -> Iterator[Callable[[Path], subprocess.Popen[str]]]:
    """Start processes that claim a file."""
    started: list[subprocess.Popen[str]] = []

    def start(path: Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", CLAIMANT, str(path)]
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=30)


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def in_a_child(ask: Callable[[], object]) -> str:
    """What ``ask`` returns in a forked child."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writer, repr(ask()).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        text = answer.read()
    os.waitpid(pid, 0)
    return text


@contextmanager
def nobody() -> Iterator[None]:
    """Be one who may write to few places, also where root runs the tests."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(before)


# --- the directory ----------------------------------------------------------------------------------------


def test_it_is_made_for_its_owner_alone_with_those_above_it(tmp_path: Path) -> None:
    Folder(str(tmp_path / "a" / "b")).prepare()

    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


def test_one_that_is_there_is_taken(tmp_path: Path) -> None:
    Folder(str(tmp_path)).prepare()


def test_a_file_in_its_place_is_told(tmp_path: Path) -> None:
    place = tmp_path / "spool"
    place.write_text("")

    with pytest.raises(SpoolError, match=f"{place}: is a file, not a directory"):
        Folder(str(place)).prepare()
    with pytest.raises(SpoolError, match=f"{place}/below: cannot be made: Not a directory"):
        Folder(str(place / "below")).prepare()


def test_one_that_cannot_be_written_to_is_told() -> None:
    with nobody(), pytest.raises(SpoolError, match="/: cannot be written to"):
        Folder("/").prepare()


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs", "fuse.s3fs", "9p"])
def test_a_network_file_system_is_refused(tmp_path: Path, kind: str) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/vda / ext4 rw 0 0\nserver:/x {tmp_path} {kind} rw 0 0\n")

    with pytest.raises(SpoolError, match=re.escape(f"is on a network file system ({kind})")):
        Folder(str(tmp_path / "spool")).prepare(str(mounts))


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("/", "ext4"),
        ("/srv/data/spool", "xfs"),
        ("/srv/database", "ext4"),  # not within /srv/data
        ("/mnt/my disk/x", "nfs"),
        ("/over/x", "tmpfs"),  # the later of two in one place
    ],
)
def test_the_innermost_mount_says_the_kind_of_file_system(tmp_path: Path, place: str, kind: str) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "d / ext4 rw 0 0\nd /srv/data xfs rw 0 0\nd /mnt/my\\040disk nfs rw 0 0\n"
        "d /over ext4 rw 0 0\nd /over tmpfs rw 0 0\ngarbled\n"
    )

    assert filesystem_of(Path(place), str(mounts)) == kind


def test_without_a_list_of_mounts_the_kind_is_not_known(tmp_path: Path) -> None:
    assert filesystem_of(tmp_path, str(tmp_path / "none")) == ""


def test_what_was_made_in_it_is_synced(folder: Folder) -> None:
    folder.sync()


# --- its files --------------------------------------------------------------------------------------------


def test_a_new_file_is_named_for_its_host_and_process(folder: Folder) -> None:
    claim = folder.new()

    assert OURS.fullmatch(claim.path.name)
    assert f"-{os.getpid()}-" in claim.path.name
    assert not claim.path.exists()
    claim.release()


def test_only_our_files_are_listed_the_oldest_first(folder: Folder) -> None:
    for name, changed in [("b-1-00000000.db", 5), ("a-1-00000000.db", 9), ("notes.db", 1)]:
        (folder.path / name).touch()
        os.utime(folder.path / name, (changed, changed))
    (folder.path / "b-1-00000000.db-wal").touch()

    assert [path.name for path in folder.paths()] == ["b-1-00000000.db", "a-1-00000000.db"]


def test_a_file_that_vanishes_while_it_is_listed_is_no_error(folder: Folder) -> None:
    (folder.path / "b-1-00000000.db").symlink_to(folder.path / "gone")

    assert [path.name for path in folder.paths()] == ["b-1-00000000.db"]


def test_a_directory_that_is_not_there_has_no_files(tmp_path: Path) -> None:
    assert Folder(str(tmp_path / "none")).paths() == []


def test_files_set_aside_are_listed_by_themselves(folder: Folder, path: Path) -> None:
    claim = folder.claim(path)
    assert claim is not None
    Path(f"{path}-wal").write_bytes(b"wal")

    aside = claim.set_aside(1234)

    assert aside == Path(f"{path}.corrupt-1234")
    assert folder.set_aside() == [aside]
    assert folder.paths() == []
    assert sorted(p.name for p in folder.path.iterdir()) == [aside.name, f"{aside.name}-wal"]


def test_a_file_is_removed_with_all_that_belongs_to_it(folder: Folder, path: Path) -> None:
    claim = folder.claim(path)
    assert claim is not None
    for suffix in ("-wal", "-shm", ".request-0123abcd"):
        Path(f"{path}{suffix}").touch()

    claim.unlink()

    assert list(folder.path.iterdir()) == []


# --- claims -----------------------------------------------------------------------------------------------


def test_one_thread_of_a_process_has_a_file_and_another_has_not(folder: Folder, path: Path) -> None:
    claim = folder.claim(path)
    found: list[object] = []
    other = threading.Thread(target=lambda: found.append(folder.claim(path)))
    other.start()
    other.join()

    assert claim is not None
    assert found == [None]
    claim.release()
    again = folder.claim(path)
    assert again is not None
    again.release()


def test_a_file_is_one_whatever_its_path(folder: Folder, path: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder.path)
    claim = folder.claim(path)

    assert folder.claim(tmp_path / "link" / path.name) is None
    assert claim is not None
    claim.release()


def test_of_two_processes_one_has_a_file(
    folder: Folder, path: Path, another: Callable[[Path], subprocess.Popen[str]]
) -> None:
    first = another(path)
    assert said(first) == "claimed"

    assert said(another(path)) == "held"
    assert folder.claim(path) is None
    assert folder.owner(path) == first.pid
    assert list(folder.orphans()) == []

    first.communicate("let go\n", timeout=30)
    assert folder.owner(path) is None
    claim = folder.claim(path)
    assert claim is not None
    assert said(another(path)) == "held"
    claim.release()


@pytest.mark.parametrize(
    "flock",
    [
        pytest.param("", id="the layout of the question is not known"),
        pytest.param(">hhqqi4x", id="the question is not understood"),
    ],
)
def test_where_the_system_does_not_tell_a_file_s_owner_has_no_pid(
    folder: Folder, path: Path, another: Callable[[Path], subprocess.Popen[str]], flock: str
) -> None:
    folder = Folder(str(folder.path), flock=flock)
    first = another(path)
    assert said(first) == "claimed"

    assert folder.owner(path) == 0
    assert said(another(path)) == "held"  # the question has changed nothing

    first.communicate("let go\n", timeout=30)
    assert folder.owner(path) is None
    claim = folder.claim(path)
    assert claim is not None
    assert folder.owner(path) == os.getpid()
    assert said(another(path)) == "held"
    claim.release()


def test_kill_9_lets_a_file_go(
    folder: Folder, path: Path, another: Callable[[Path], subprocess.Popen[str]]
) -> None:
    first = another(path)
    assert said(first) == "claimed"

    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=30)

    assert [claim.path for claim in folder.orphans()] == [path]


def test_a_forked_child_never_claims_its_parent_s_file_nor_gives_it_away(
    folder: Folder, path: Path, another: Callable[[Path], subprocess.Popen[str]]
) -> None:
    claim = folder.claim(path)
    assert claim is not None

    assert in_a_child(lambda: (folder.claim(path), list(folder.orphans()))) == "(None, [])"

    assert said(another(path)) == "held"
    claim.release()


def test_to_ask_whose_a_file_is_does_not_give_it_away(
    folder: Folder, path: Path, another: Callable[[Path], subprocess.Popen[str]]
) -> None:
    claim = folder.claim(path)
    assert claim is not None

    assert folder.owner(path) == os.getpid()

    assert said(another(path)) == "held"
    claim.release()


def test_to_ask_whose_a_file_is_does_not_give_away_what_is_claimed_meanwhile(
    folder: Folder, path: Path, another: Callable[[Path], subprocess.Popen[str]]
) -> None:
    """Whoever closes a descriptor of a lock file lets go of a lock that another thread has just taken."""

    class Asking(Folder):
        def _asked(self, lock: Path) -> int | None:
            claims.append(self.claim(path))  # as another thread may, while the lock file is looked into
            return super()._asked(lock)

    claims: list[Claim | None] = []
    Asking(str(folder.path)).owner(path)
    claim = claims[0] or folder.claim(path)

    assert claim is not None
    assert said(another(path)) == "held"
    claim.release()


def test_to_ask_whose_a_file_is_keeps_no_other_thread_from_claiming_it(folder: Folder, path: Path) -> None:
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            folder.owner(path)

    def is_claimed() -> bool:
        claim = folder.claim(path)
        if claim is not None:
            claim.release()
        return claim is not None

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        assert all(is_claimed() for _ in range(300))
    finally:
        done.set()
        asking.join()


def test_a_child_that_is_forked_while_another_thread_asks_whose_a_file_is_does_not_take_it_for_held(
    folder: Folder, path: Path
) -> None:
    class Asking(Folder):
        def _asked(self, lock: Path) -> int | None:
            told.append(in_a_child(lambda: (folder.owner(path), folder.claim(path) is not None)))
            return super()._asked(lock)

    told: list[str] = []
    assert Asking(str(folder.path)).owner(path) is None

    assert told == ["(None, True)"]
    assert folder.owner(path) is None


def test_a_child_that_is_forked_in_the_middle_of_such_a_question_keeps_what_it_claims_there(
    folder: Folder, path: Path
) -> None:
    """As by a signal handler: the question goes on in the child, too."""

    class Forking(Folder):
        def _asked(self, _: Path) -> int | None:
            pid = os.fork()
            if pid == 0:
                claims.append(self.claim(path))
            else:
                os.waitpid(pid, 0)
            return None

    claims: list[Claim | None] = []

    def ask() -> object:
        Forking(str(folder.path)).owner(path)
        return claims != [] and (claims[0] is not None, folder.owner(path) == os.getpid())

    assert in_a_child(ask) == "(True, True)False"


def test_a_file_without_a_lock_has_no_owner(folder: Folder, path: Path) -> None:
    path.with_suffix(".lock").unlink()

    assert folder.owner(path) is None


def test_a_lock_that_cannot_be_read_is_told(folder: Folder, path: Path) -> None:
    lock = path.with_suffix(".lock")
    lock.unlink()
    lock.symlink_to(lock)

    for ask in (folder.owner, folder.claim):
        with pytest.raises(SpoolError, match=f"{lock}: Too many levels"):
            ask(path)
    assert list(folder.orphans()) == []


def test_an_orphan_that_is_gone_leaves_no_lock_behind(folder: Folder, path: Path) -> None:
    other = folder.path / "host-1-00000000.db"
    other.touch()
    os.utime(other, (1, 1))
    claims = folder.orphans()
    first = next(claims)
    path.unlink()

    assert list(claims) == []
    assert not path.with_suffix(".lock").exists()
    first.release()


def test_a_lock_that_was_removed_before_it_was_had_is_made_again(folder: Folder, path: Path) -> None:
    """Its process removed it between our open and our lock: that inode guards nothing any more."""
    lock = path.with_suffix(".lock")
    stats = iter([False, True])

    def is_still(_lock: Path, _fd: int) -> bool:
        still = next(stats)
        if not still:
            lock.unlink()
        return still

    claim = spool_folder._claim(path, is_still)  # noqa: SLF001  the race, put on

    assert claim is not None
    assert lock.exists()
    claim.release()


def test_a_directory_that_is_removed_meanwhile_costs_nobody_a_descriptor(folder: Folder, path: Path) -> None:
    def is_still(_lock: Path, fd: int) -> bool:
        numbers.append(fd)
        for each in folder.path.iterdir():
            each.unlink()
        folder.path.rmdir()
        return False

    numbers: list[int] = []
    with pytest.raises(SpoolError, match="No such file"):
        spool_folder._claim(path, is_still)  # noqa: SLF001  the race, put on

    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(numbers[0])
    folder.prepare()
    claim = folder.claim(path)
    assert claim is not None
    claim.release()


def test_a_lock_keeps_others_out_while_it_is_where_they_look(folder: Folder) -> None:
    claim = folder.new()
    lock = claim.path.with_suffix(".lock")

    assert claim.keeps_others_out
    lock.unlink()
    assert not claim.keeps_others_out
    lock.touch()
    assert not claim.keeps_others_out


def test_a_lock_of_which_that_cannot_be_told_counts_as_one_that_does(folder: Folder) -> None:
    claim = folder.new()
    claim.release()

    assert claim.keeps_others_out


def test_a_lock_in_another_place_is_not_ours(folder: Folder, path: Path, tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    fd = os.open(tmp_path / "other", os.O_RDONLY)
    lock = path.with_suffix(".lock")

    assert not spool_folder._is_still(lock, fd)  # noqa: SLF001  what the race is told by
    lock.unlink()
    assert not spool_folder._is_still(lock, fd)  # noqa: SLF001  likewise
    os.close(fd)


def test_a_lock_that_cannot_be_had_for_a_new_file_is_told(folder: Folder) -> None:
    host = re.sub("[^A-Za-z0-9.]", "_", socket.gethostname()) or "host"
    name = f"{host}-{os.getpid()}-00000000.db"
    claim = folder.claim(folder.path / name)
    assert claim is not None

    with pytest.raises(SpoolError, match="its lock cannot be had"):
        folder.new(bytes)
    claim.release()


# --- what a killed process, or a failing disk, leaves ---------------------------------------------------


def test_what_is_left_of_a_file_that_was_being_made_or_removed_is_cleaned_up(folder: Folder) -> None:
    folder.new().release()
    (folder.path / "host-1-00000000.lock").touch()
    (folder.path / "host-1-00000000.db-wal").touch()
    (folder.path / "another.lock").touch()

    assert list(folder.orphans()) == []
    assert [each.name for each in folder.path.iterdir()] == ["another.lock"]


def test_a_lock_says_whether_its_file_was_being_made(folder: Folder, path: Path) -> None:
    left = folder.new()
    left.release()
    claim = folder.claim(left.path)
    assert claim is not None
    assert claim.was_being_made
    claim.made()
    assert not claim.was_being_made
    claim.release()
    claim.release()  # only the first call counts

    assert not claim.was_being_made
    claim.made()


def test_a_file_that_cannot_be_removed_is_told_and_let_go(folder: Folder, path: Path) -> None:
    Path(f"{path}-journal").mkdir()
    claim = folder.claim(path)
    assert claim is not None

    with pytest.raises(SpoolError, match=f"{path}: cannot be removed: "):
        claim.unlink()
    again = folder.claim(path)
    assert again is not None
    again.release()


def test_a_file_that_cannot_be_renamed_is_told_and_let_go(folder: Folder, path: Path) -> None:
    Path(f"{path}.corrupt-7").mkdir()
    claim = folder.claim(path)
    assert claim is not None

    with pytest.raises(SpoolError, match=f"{path}: cannot be renamed: "):
        claim.set_aside(7)
    again = folder.claim(path)
    assert again is not None
    again.release()


def test_a_directory_that_cannot_be_read_or_synced_is_told(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.touch()

    with pytest.raises(SpoolError, match=f"{place}: cannot be read: Not a directory"):
        Folder(str(place)).paths()
    with pytest.raises(SpoolError, match=f"{place}: Not a directory"):
        Folder(str(place)).sync()

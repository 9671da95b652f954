"""``spool.folder``: whose file is whose."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from togai_shipper.spool.claims import Claim
from togai_shipper.spool.folder import Folder

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

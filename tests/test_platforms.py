"""Where less can be had than on Linux: on Windows, whose Python has no POSIX, and in a sub-interpreter."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from togai_shipper import __version__
from togai_shipper.spool.file import SpoolFile
from togai_shipper.testing import FakeTogai

CANNOT = 77  # how programs/interpreters.py ends where there is nothing to be tested
OUTSIDE = {name: value for name, value in os.environ.items() if not name.startswith("TOGAI_")}
PROGRAMS = Path(__file__).parent / "programs"

# What Windows has not, as far as the third parties do without it here, where they take the ways of POSIX.
MODULES = ("fcntl", "grp", "pwd", "resource", "termios")
NEEDED = (
    "fcntl",
    "os.O_CLOEXEC",
    "os.O_DIRECTORY",
    "os.O_NOFOLLOW",
    "os.O_NONBLOCK",
    "os.fchown",
    "os.fork",
    "os.geteuid",
    "os.register_at_fork",
)
OTHERS = (
    *(
        "os.chown",
        "os.forkpty",
        "os.getegid",
        "os.getgid",
        "os.getuid",
        "os.killpg",
        "os.setsid",
        "os.statvfs",
    ),
    *("os.sched_getaffinity", "os.uname"),
    *("signal.SIGALRM", "signal.SIGCHLD", "signal.SIGHUP", "signal.SIGKILL", "signal.SIGQUIT"),
    *("signal.SIGUSR1", "signal.SIGUSR2", "signal.pthread_sigmask", "signal.setitimer", "signal.sigwait"),
    *("signal.SIGPIPE", "signal.sigpending", "signal.sigtimedwait"),
)
WINDOWS = ",".join(dict.fromkeys((*MODULES, *NEEDED, *OTHERS)))
SAID = "a spool needs POSIX, and this Python has no fcntl"

SPOOLING = """
import sys
from togai_shipper import ConfigurationError, Shipper
try:
    Shipper("secret", spool={directory!r})
except ConfigurationError as error:
    print(error)
"""

TRACKING = """
from togai_shipper import Shipper
with Shipper({key!r}, base_url={url!r}) as shipper:
    shipper.track("api_call", "acme", {{"count": 1}})
    print(shipper.flush())
"""

SANDBOX = """
from togai_shipper import Shipper
from togai_shipper.testing import FakeTogai
with FakeTogai(api_key="secret") as togai, Shipper("secret", base_url=togai.url) as shipper:
    shipper.track("api_call", "acme", {"count": 1})
    shipper.flush()
    print(togai.ledger.accepted)
"""


def run(program: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(PROGRAMS / program), *arguments],
        env={**OUTSIDE, "TOGAI_API_KEY": "secret", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def without(names: str, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line, or a program, where these names are missing."""
    done = run("without.py", names, *command, **environment)
    assert "Traceback" not in done.stderr
    return done


# --- without POSIX ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [WINDOWS, *NEEDED])
def test_a_spool_is_refused_by_a_configuration_error_that_says_what_is_missing(
    names: str, tmp_path: Path
) -> None:
    done = without(names, "-c", SPOOLING.format(directory=str(tmp_path)))

    why = f"a spool needs POSIX, and this Python has no {names.partition(',')[0]}"
    assert done.stdout == f"spool: must be None here ({why}), not a str of {len(str(tmp_path))} characters\n"


def test_so_is_one_that_the_environment_names(tmp_path: Path) -> None:
    program = SPOOLING.replace(", spool={directory!r}", "")

    assert without(WINDOWS, "-c", program, TOGAI_SPOOL=str(tmp_path)).stdout.startswith(
        "TOGAI_SPOOL: must be None here (a spool needs POSIX"
    )


def test_what_only_others_need_is_not_missed(tmp_path: Path) -> None:
    assert without(",".join(OTHERS), "-c", SPOOLING.format(directory=str(tmp_path))).stdout == ""


def test_where_nothing_tells_the_interpreter_is_taken_for_the_main_one(tmp_path: Path) -> None:
    names = "_interpreters,_xxsubinterpreters"  # a Python may be built without

    assert without(names, "-c", SPOOLING.format(directory=str(tmp_path))).stdout == ""


@pytest.mark.parametrize("names", [WINDOWS, "fcntl", "os.fork", "os.register_at_fork"])
def test_events_are_delivered_from_memory(names: str, togai: FakeTogai) -> None:
    done = without(names, "-c", TRACKING.format(key="secret", url=togai.url))

    assert done.stdout == "FlushReport(delivered=1, rejected=0, dropped=0, pending=0, relayed=0, held=0)\n"
    assert togai.ledger.accepted == 1


def test_the_sandbox_works() -> None:
    assert without(WINDOWS, "-c", SANDBOX).stdout == "1\n"


def test_the_command_line_says_its_version() -> None:
    assert without(WINDOWS, "--version").stdout == f"togai-shipper, version {__version__}\n"


def test_the_demo_s_books_balance() -> None:
    done = without(WINDOWS, "demo", "--events", "100", "--rate", "0", "--no-faults", "--json")

    assert done.returncode == 0
    assert json.loads(done.stdout)["delivered"] == 100


def test_files_are_sent_from_memory(togai: FakeTogai, tmp_path: Path) -> None:
    event = {
        "schema_name": "api_call",
        "account_id": "acme",
        "timestamp": "2026-01-31T23:59:59Z",
        "attributes": {"count": 1},
    }
    (tmp_path / "usage.ndjson").write_text(json.dumps(event) + "\n", "utf-8")
    arguments = ("--no-spool", "--base-url", togai.url, str(tmp_path / "usage.ndjson"))

    done = without(WINDOWS, "send", *arguments)

    assert done.returncode == 0
    assert "No record of this job can be kept (a spool needs POSIX" in done.stderr
    assert togai.ledger.accepted == 1


@pytest.mark.parametrize(
    "command", [["spool", "ls"], ["spool", "show", "some-id"], ["spool", "verify"], ["drain", "--once"]]
)
def test_commands_on_a_spool_say_it_in_one_line(command: list[str], tmp_path: Path) -> None:
    done = without(WINDOWS, *command, str(tmp_path))

    assert done.returncode == 1
    assert done.stderr == f"Error: {SAID}\n"


@pytest.mark.parametrize("named_by", ["an argument", "the environment"])
def test_the_doctor_says_it_and_goes_on(named_by: str, tmp_path: Path) -> None:
    by_argument = named_by == "an argument"
    arguments = ["--spool", str(tmp_path)] if by_argument else []
    environment = {} if by_argument else {"TOGAI_SPOOL": str(tmp_path)}

    done = without(
        WINDOWS, "doctor", "--no-request", "--base-url", "http://127.0.0.1:9", *arguments, **environment
    )

    assert done.returncode == 1
    assert SAID in done.stdout
    assert "base_url" in done.stdout


# --- in a sub-interpreter ---------------------------------------------------------------------------------

DURABLE = """
from togai_shipper import Shipper
shipper = Shipper("secret", base_url="http://127.0.0.1:9", spool={directory!r})
ids = [shipper.track("api_call", "acme", {{"count": 1}}) for _ in range(20)]
assert shipper.sync(30)
print(*ids, flush=True)
"""

# What takes over the files of processes that are gone.
ADOPTING = """
from togai_shipper import ConfigurationError, Shipper
try:
    shipper = Shipper("secret", base_url="http://127.0.0.1:9", spool={directory!r})
except ConfigurationError as error:
    print(error, flush=True)
else:
    shipper.flush(1)
"""

HANDLING = """
from togai_shipper import ConfigurationError, Shipper
try:
    Shipper("secret", handle_sigterm=True)
except ConfigurationError as error:
    print(error, flush=True)
"""


@pytest.fixture(params=["legacy", "isolated"])
def kind(request: pytest.FixtureRequest) -> str:
    """The kinds of sub-interpreters: what mod_wsgi makes, and what ``concurrent.interpreters`` makes."""
    return str(request.param)


def beside(kind: str, sub: str, main: str = "") -> list[str]:
    """Run ``main`` in the main interpreter, then ``sub`` in another of its process; returns what both say."""
    done = run("interpreters.py", kind, main, sub)
    if done.returncode == CANNOT:
        pytest.skip(f"this Python cannot load the library into a sub-interpreter of this kind: {kind}")
    assert done.returncode == -signal.SIGKILL, done.stderr
    return done.stdout.splitlines()


def ids_on_disk(directory: Path) -> set[str]:
    found = set()
    for path in directory.glob("*.db"):
        file = SpoolFile.peek(path)
        found |= {json.loads(row.body)["id"] for rows, _ in file.scan() for row in rows}
        file.close()
    return found


def test_a_spool_is_refused_there_and_what_its_process_called_durable_is_on_disk_after_kill_9(
    kind: str, tmp_path: Path
) -> None:
    ids, *said = beside(
        kind,
        main=DURABLE.format(directory=str(tmp_path)),
        sub=ADOPTING.format(directory=str(tmp_path)),
    )

    why = "a spool needs the main interpreter, and this is a sub-interpreter"
    assert said == [f"spool: must be None here ({why}), not a str of {len(str(tmp_path))} characters"]
    assert ids_on_disk(tmp_path) == set(ids.split())


def test_events_are_delivered_from_memory_there(kind: str, togai: FakeTogai) -> None:
    said = beside(kind, TRACKING.format(key="secret", url=togai.url) + "print(end='', flush=True)")

    assert said == ["FlushReport(delivered=1, rejected=0, dropped=0, pending=0, relayed=0, held=0)"]
    assert togai.ledger.accepted == 1


def test_handling_sigterm_is_refused_there_in_plain_words(kind: str) -> None:
    what = "a signal handler can be installed from the main interpreter alone"
    assert beside(kind, HANDLING) == [f"handle_sigterm: {what}"]

"""The architecture, as tests: who imports whom. Nobody imports from below."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import togai_shipper

ROOT = Path(togai_shipper.__file__).parent
PURE = [
    "exceptions",
    "_plural",
    "_printable",
    "_version",
    "_secret",
    "_process.registry",
    "_process.this_process",
    "_process.per_process",
    "_event.fields",
    "_event.timestamps",
    "_event.identity",
    "_event.parts",
    "_event.encoding",
    "_event.encoded",
    "_event.event",
    "_event.traits",
    "_outcome",
    "_engine.blanking",
    "_engine.duplicates",
    "_engine.verdict",
    "_engine.batching",
    "_engine.byte_cap",
    "_engine.dedupe_window",
    "_engine.lane_part",
    "_engine.settlement",
    "_engine.causes",
    "_engine.effort",
    "_engine.look_ups",
    "_engine.sampling",
    "_engine.findings",
    "_engine.self_report",
    "spool.errors",
    "spool.ownership",
    "spool.age",
    "spool.rows",
    "spool.tally",
    "spool.book",
    "spool.shelf",
    "relay.errors",
    "relay.answers",
    "relay.entries",
    "relay.letters",
    "relay.url",
    "relay.names",
    "relay.scripts",
    "relay.lease",
    "relay.losses",
    "relay.strangers",
    "relay.census",
    "relay.key_trial",
    "relay.hold",
    "relay.watch",
    "_process.limits",
    "_option_values",
    "_config",
    "_parameters",
    "_expected_event",
    "_catalog.schemas",
    "_catalog.problems",
    "_journal.facts",
    "_journal.errors",
    "_journal.export",
]
ORDER = [
    *PURE,
    "_catalog.file",
    "_process.signals",
    "_process.boot",
    "_process.threads",
    "_process.crowd",
    "_process.event_loop",
    "_process.exits",
    "_process.forks",
    "_process.sigterm",
    "_engine.bell",
    "_engine.runtime",
    "_engine.shutdown",
    "_engine.telling",
    "_engine.waiters",
    "_engine.receipt",
    "_engine.receipts",
    "_engine.ledger",
    "_engine.log",
    "_engine.callbacks",
    "_engine.reporting",
    "_engine.parking",
    "_engine.gate",
    "_engine.waiting",
    "_engine.lane",
    "_engine.lane_entry",
    "_engine.unlike",
    "_engine.buffer",
    "_engine.threads",
    "_engine.flushers",
    "_engine.server_clock",
    "_engine.saying",
    "_engine.rounds",
    "_engine.store",
    "_engine.key",
    "_engine.whole_reply",
    "_engine.progress",
    "_engine.exchange",
    "_engine.guarded_head",
    "_engine.timed_http",
    "_engine.no_reply",
    "_engine.certificates",
    "_engine.transport",
    "_engine.destination",
    "_engine.line",
    "_engine.delivery",
    "_engine.asking",
    "_engine.verifying",
    "_engine.parts",
    "_engine.health",
    "_engine.carrying",
    "_engine.closing",
    "spool.making",
    "spool.patience",
    "spool.opening",
    "spool.connection",
    "spool.schema",
    "spool.dead_letters",
    "spool.journal",
    "spool.moves",
    "spool.file",
    "spool.snapshot",
    "spool.archive",
    "spool.moving",
    "spool.claims",
    "spool.filesystems",
    "spool.leading",
    "spool.folder",
    "spool.wal",
    "spool.disk",
    "spool.holdings",
    "spool.gathering",
    "spool.requests",
    "spool.orphan",
    "spool.handful",
    "spool.stranded",
    "spool.adoption",
    "spool.merging",
    "spool.news",
    "spool.recovery",
    "spool.upkeep",
    "spool.shrinking",
    "spool.writer",
    "_journal.reading",
    "relay.refusals",
    "relay.journal",
    "relay.notes",
    "relay.link",
    "relay.producers",
    "relay.dead_letters",
    "relay.lease_keeper",
    "relay.leased",
    "relay.reading",
    "relay.journal_reading",
    "relay.shelf",
    "relay.reader",
    "relay.figures",
    "relay.view",
    "relay.stream",
    "relay.survey",
    "relay.hold_keeper",
    "relay.handover",
    "_pipeline",
    "relay.drainer",
    "_recipe",
    "_metering",
    "_caller",
    "_intake",
    "_shipper",
    "_stand_in",
    "_default",
    "_recording",
]
FACES = {
    "_event": "_event.event",
    "_catalog": "_catalog.file",
    "_journal": "_journal.reading",
}  # what hands on the names of its folder comes with the last of it
IMPURE = {"threading", "time", "requests", "tenacity", "logging", "random", "sqlite3"}
ONLY_IN = {
    "requests": {"_engine/timed_http", "_engine/no_reply", "_engine/certificates", "_engine/transport"},
    "urllib3": {"_engine/guarded_head", "_engine/no_reply", "_engine/timed_http"},
    "tenacity": {"_engine/delivery"},
    "sqlite3": {"spool/connection"},
    "redis": {"relay/link", "relay/refusals"},
    "fcntl": {
        "spool/claims",
        "_process/limits",
        "_engine/progress",
    },  # the others ask the system for a figure
}
MODULES = sorted(str(path.relative_to(ROOT)) for path in ROOT.rglob("*.py"))


def imports(node: ast.AST) -> Iterator[str]:
    """What ``node`` imports, relative names with their dots; what is there for types alone excepted."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            module = "." * child.level + (child.module or "")
            yield from (
                f"{module}.{alias.name}" if child.module else module + alias.name for alias in child.names
            )
        elif not (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)):
            yield from imports(child)


def imported(module: str) -> set[str]:
    return set(imports(ast.parse((ROOT / module).read_text("utf-8"))))


def top_level(module: str) -> set[str]:
    return {name.partition(".")[0] for name in imported(module)}


def ours(module: str) -> set[str]:
    """The modules of the package that a module imports, by their names within it."""
    package = module.rpartition(".")[0]
    names = set()
    for name in imported(module.replace(".", "/") + ".py"):
        if name.startswith("."):
            full = f"{package}.{name[1:]}".removeprefix(".")
        elif name.startswith("togai_shipper."):
            full = name.removeprefix("togai_shipper.")
        else:
            continue
        is_module = f"{full.replace('.', '/')}.py" in MODULES
        full = full if is_module else full.rpartition(".")[0] or full
        names.add(FACES.get(full, full))
    return names


def test_the_order_is_complete() -> None:
    folders = ("", "_event/", "_catalog/", "_journal/", "_engine/", "_process/", "spool/", "relay/")
    names = {name.removesuffix(".py") for name in MODULES if name[: name.rfind("/") + 1] in folders}

    apart = {"__init__", "__main__", "pytest_plugin", "testing"}
    assert set(ORDER) == {name.replace("/", ".") for name in names if name.rpartition("/")[2] not in apart}


@pytest.mark.parametrize("face", [name for name in MODULES if name.count("/") == 1 and "/__init__" in name])
def test_a_folder_says_what_each_of_its_files_is(face: str) -> None:
    folder = (ROOT / face).parent
    within = {
        path.stem for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    told = re.findall(r"``(\w+)``", ast.get_docstring(ast.parse((ROOT / face).read_text("utf-8"))) or "")

    assert within - {"__init__"} <= set(told)


@pytest.mark.parametrize("module", ORDER)
def test_a_module_imports_only_from_those_before_it(module: str) -> None:
    assert ours(module) <= set(ORDER[: ORDER.index(module)])


@pytest.mark.parametrize("module", PURE)
def test_a_pure_module_knows_no_thread_clock_network_log_or_chance(module: str) -> None:
    assert not top_level(f"{module.replace('.', '/')}.py") & IMPURE


# The command line is an application of the library, and has its own ways.
@pytest.mark.parametrize("module", [name for name in MODULES if not name.startswith("cli/")])
def test_requests_tenacity_and_sqlite_are_each_known_to_one_module(module: str) -> None:
    for name in top_level(module) & set(ONLY_IN):
        assert module.removesuffix(".py") in ONLY_IN[name]


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("sandbox/")])
def test_the_sandbox_knows_nothing_of_the_library_that_it_judges(module: str) -> None:
    assert not {name for name in imported(module) if name.startswith(("togai_shipper", ".."))}


def test_who_makes_no_shipper_does_not_wait_for_the_network_libraries() -> None:
    unmeasured = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, togai_shipper; print(*sys.modules)"],
        env=unmeasured,  # coverage loads some of them
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()

    assert not {"requests", "tenacity", "sqlite3", "asyncio"} & set(loaded)


# What is not ours is set up by its attributes, and an exception gets its cause; the rest is ours.
SET_FROM_OUTSIDE = {
    "_process.signals": {"_here.application"},  # a thread's own
    "_config": {"plain.__signature__", "plain.__kwdefaults__"},
    "_intake": {"invalid.__cause__", "problem.__cause__", "invalid.given"},
    "_engine.log": {"record.exc_text"},  # where a formatter looks for a traceback that is written already
    "_engine.timed_http": {
        "manager.pool_classes_by_scheme",
        "session.cookies",
        "session.get_redirect_target",
        "adapter.max_retries",
        "adapter.proxy_manager_for",
    },
    "_engine.transport": {"response.raw.enforce_content_length", "session.trust_env"},
    "spool.connection": {"self._sqlite.text_factory"},
}


def assigned(node: ast.AST) -> Iterator[str]:
    """The attributes that are assigned, but for an object's own."""
    for child in ast.walk(node):
        targets = child.targets if isinstance(child, ast.Assign) else []
        if isinstance(child, ast.AugAssign | ast.AnnAssign):
            targets = [child.target]
        for target in targets:
            for each in target.elts if isinstance(target, ast.Tuple) else [target]:
                if isinstance(each, ast.Attribute) and ast.unparse(each.value) not in ("self", "cls"):
                    yield ast.unparse(each)


@pytest.mark.parametrize("module", ORDER)
def test_no_object_assigns_an_attribute_of_another(module: str) -> None:
    tree = ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text("utf-8"))

    assert set(assigned(tree)) == SET_FROM_OUTSIDE.get(module, set())


LEVELS = ("debug", "info", "warning", "error", "exception", "critical", "log", "handle")
#: What writes a line to the log, to standard output or to standard error. A stream stands for all it does.
SPEAKS = {
    *("print", "logging.getLogger", "logging.Logger", "logging.lastResort"),
    *("sys.stdout", "sys.stderr", "sys.__stdout__", "sys.__stderr__", "os.write", "warnings.warn"),
    *(f"{whose}.{level}" for whose in ("logging", "logger") for level in LEVELS),
    *(f"traceback.print_{what}" for what in ("exc", "exception", "last", "stack", "tb")),
}
SPEAKERS = {
    "__main__.py": {"sys.stderr"},  # one line of ours alone
    "_engine/log.py": {"logging.getLogger", "logging.Logger", "logger.handle", "sys.stderr"},
    "_shipper.py": {"warnings.warn"},  # names a shipper by its repr, which is one line
    "cli/captured_log.py": {"logging.getLogger"},  # to listen
    "cli/spool/export.py": {"sys.stdout"},  # events as they are, where it is no terminal
    "cli/streams.py": {"sys.stdout", "sys.stderr"},  # to guard them
    "cli/terminal.py": {"sys.stdout", "sys.stderr"},
    "sandbox/wire.py": {"logging.Logger"},  # writes nowhere
    "spool/claims.py": {"os.write"},  # into a lock
}


@pytest.mark.parametrize("module", MODULES)
def test_a_line_is_written_by_the_log_or_by_the_terminal_and_by_nobody_else(module: str) -> None:
    tree = ast.parse((ROOT / module).read_text("utf-8"))

    names = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute | ast.Name)}

    assert names & SPEAKS <= SPEAKERS.get(module, set())

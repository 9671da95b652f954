"""The architecture, as tests: who imports whom. Nobody imports from below."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import togai_shipper

ROOT = Path(togai_shipper.__file__).parent
PURE = [
    "exceptions",
    "_wording",
    "_event",
    "_outcome",
    "_verdict",
    "_batching",
    "_settlement",
    "_config",
    "_matching",
]
ORDER = [
    *PURE,
    "_bell",
    "_pacing",
    "_store",
    "_buffer",
    "_transport",
    "_delivery",
    "_receipts",
    "_reporting",
    "_flusher",
    "_event_loop",
    "_health",
    "_lifecycle",
    "_pipeline",
    "_metering",
    "_sigterm",
    "_shipper",
    "_default",
    "_recording",
]
IMPURE = {"threading", "time", "requests", "tenacity", "logging", "random"}
ONLY_IN = {
    "requests": "_transport",
    "urllib3": "_transport",
    "tenacity": "_delivery",
    "sqlite3": "spool/file",
    "fcntl": "spool/folder",
}
MODULES = sorted(str(path.relative_to(ROOT)) for path in ROOT.rglob("*.py"))


def imports(node: ast.AST) -> Iterator[str]:
    """What ``node`` imports, relative names with their dots; what is there for types alone excepted."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            module = "." * child.level + (child.module or "")
            yield from ([module] if child.module else [module + alias.name for alias in child.names])
        elif not (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)):
            yield from imports(child)


def imported(module: str) -> set[str]:
    return set(imports(ast.parse((ROOT / module).read_text("utf-8"))))


def top_level(module: str) -> set[str]:
    return {name.partition(".")[0] for name in imported(module)}


def test_the_order_is_complete() -> None:
    flat = {name.removesuffix(".py") for name in MODULES if "/" not in name}

    assert set(ORDER) == flat - {"__init__", "__main__", "pytest_plugin", "testing"}


@pytest.mark.parametrize("module", ORDER)
def test_a_module_imports_only_from_those_before_it(module: str) -> None:
    ours = {name for name in imported(f"{module}.py") if name.startswith((".", "togai_shipper"))}

    allowed = {f".{name}" for name in ORDER[: ORDER.index(module)]} | {".__version__"}
    assert ours <= allowed | ({".spool.writer"} if module == "_pipeline" else set())


@pytest.mark.parametrize("module", PURE)
def test_a_pure_module_knows_no_thread_clock_network_log_or_chance(module: str) -> None:
    assert not top_level(f"{module}.py") & IMPURE


# The command line is an application of the library, and has its own ways.
@pytest.mark.parametrize("module", [name for name in MODULES if not name.startswith("cli/")])
def test_requests_tenacity_and_sqlite_are_each_known_to_one_module(module: str) -> None:
    assert {ONLY_IN[name] for name in top_level(module) & set(ONLY_IN)} <= {module.removesuffix(".py")}


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("spool/")])
def test_the_spool_knows_only_what_comes_before_the_pipeline(module: str) -> None:
    ours = {name.removeprefix("togai_shipper") for name in imported(module) if "togai_shipper." in name}

    assert ours <= {f".{name}" for name in ORDER[: ORDER.index("_pipeline")]}


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

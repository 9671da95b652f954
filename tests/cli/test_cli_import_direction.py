"""The command line's architecture: who imports whom, and who draws on the terminal."""

from __future__ import annotations

import ast

import pytest
from test_import_direction import MODULES, ROOT, imported, ours

ORDER = [
    "cli.formats",
    "cli.captured_log",
    "cli.terminal",
    "cli.private_files",
    "cli.display",
    "cli.random_faults",
    "cli.spool.directory",
    "cli.spool.files",
    "cli.spool.events",
    "cli.spool.selection",
    "cli.spool.verification",
    "cli.spool.change_request",
    "cli.spool.view",
    "cli.spool.relay_reader",
    "cli.spool.relay_changes",
    "cli.spool.relay_view",
    "cli.spool.relay_source",
    "cli.spool.source",
    "cli.spool.inspection",
    "cli.spool.changes",
    "cli.spool.export",
    "cli.spool.command",
    "cli.doctor.check",
    "cli.doctor.bounded",
    "cli.doctor.world",
    "cli.doctor.environment_checks",
    "cli.doctor.server_checks",
    "cli.doctor.relay_checks",
    "cli.doctor.spool_checks",
    "cli.doctor.package_checks",
    "cli.doctor.command",
    "cli.watching",
    "cli.drain_relay",
    "cli.drain",
    "cli.send.line_fields",
    "cli.send.columns",
    "cli.send.parsing",
    "cli.send.inputs",
    "cli.send.line_ids",
    "cli.send.rejects",
    "cli.send.results",
    "cli.send.shipment",
    "cli.send.progress",
    "cli.send.summary",
    "cli.send.command",
    "cli.demo.workload",
    "cli.demo.fault_plan",
    "cli.demo.progress",
    "cli.demo.balance",
    "cli.demo.report",
    "cli.demo.command",
    "cli.sandbox",
    "cli.app",
]
SHARED = {
    "cli.formats",
    "cli.captured_log",
    "cli.terminal",
    "cli.private_files",
    "cli.display",
    "cli.spool.directory",
    "cli.spool.files",
}
#: What writes to a terminal, or makes of a stranger's text what it understands as more than text.
WRITES = {"click.echo", "click.secho", "click.confirm", "click.prompt", "print", "input", "Text", "Console"}


def cli_imports(module: str) -> set[str]:
    return {name for name in ours(module) if name.startswith("cli")}


def test_the_order_is_complete() -> None:
    modules = {name.removesuffix(".py").replace("/", ".") for name in MODULES if name.startswith("cli/")}

    assert set(ORDER) == {name for name in modules if not name.endswith("__init__")}


@pytest.mark.parametrize("module", ORDER)
def test_a_module_imports_only_from_those_before_it(module: str) -> None:
    assert cli_imports(module) <= set(ORDER[: ORDER.index(module)])


@pytest.mark.parametrize("module", [name for name in ORDER if name.count(".") == 2])
def test_a_command_knows_nothing_of_the_others_but_what_they_share(module: str) -> None:
    package = module.rpartition(".")[0]

    assert {name for name in cli_imports(module) if not name.startswith(f"{package}.")} <= SHARED


def test_one_module_draws_on_the_terminal() -> None:
    drawing = {name for name in ORDER if "rich.live.Live" in imported(f"{name.replace('.', '/')}.py")}

    assert drawing == {"cli.display"}


@pytest.mark.parametrize("module", [name for name in ORDER if name != "cli.terminal"])
def test_a_module_prints_by_way_of_the_one_that_makes_text_printable(module: str) -> None:
    tree = ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text("utf-8"))

    calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}

    assert not calls & WRITES

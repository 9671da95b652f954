"""The command line's architecture: who imports whom, and who draws on the terminal."""

from __future__ import annotations

import ast

import pytest
from test_import_direction import MODULES, ROOT, imported, ours

ORDER = [
    "cli.formats",
    "cli.options",
    "cli.remedies",
    "cli.processes",
    "cli.relay_processes",
    "cli.beside_a_relay",
    "cli.not_answered",
    "cli.togai_asked",
    "cli.togai_lists",
    "cli.togai_metrics",
    "cli.events_asked",
    "cli.captured_log",
    "cli.streams",
    "cli.terminal",
    "cli.screen",
    "cli.private_files",
    "cli.display",
    "cli.on_demand",
    "cli.relay_journal",
    "cli.spool.directory",
    "cli.spool.trial",
    "cli.spool.files",
    "cli.spool.events",
    "cli.spool.causes",
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
    "cli.spool.journal",
    "cli.spool.command",
    "cli.doctor.check",
    "cli.doctor.bounded",
    "cli.doctor.world",
    "cli.doctor.no_answer",
    "cli.doctor.environment_checks",
    "cli.doctor.server_checks",
    "cli.doctor.relay_checks",
    "cli.doctor.spool_checks",
    "cli.doctor.package_checks",
    "cli.doctor.catalog_checks",
    "cli.doctor.lookup_checks",
    "cli.doctor.command",
    "cli.watching",
    "cli.top.looking",
    "cli.top.relay_looking",
    "cli.top.rates",
    "cli.top.picture",
    "cli.top.command",
    "cli.drain_relay",
    "cli.drain",
    "cli.send.bad_line",
    "cli.send.timestamps",
    "cli.send.event_fields",
    "cli.send.json_paths",
    "cli.send.line_fields",
    "cli.send.meaning",
    "cli.send.columns",
    "cli.send.json_fields",
    "cli.send.parsing",
    "cli.send.json_objects",
    "cli.send.file_kinds",
    "cli.send.streams",
    "cli.send.packed_copies",
    "cli.send.file_names",
    "cli.send.snapshot",
    "cli.send.delimiters",
    "cli.send.headers",
    "cli.send.inputs",
    "cli.send.first_lines",
    "cli.send.chosen",
    "cli.send.state",
    "cli.send.file_identity",
    "cli.send.earlier",
    "cli.send.job_record",
    "cli.send.jobs",
    "cli.send.counts_on_disk",
    "cli.send.occurrences",
    "cli.send.line_ids",
    "cli.send.rejects",
    "cli.send.results",
    "cli.send.catalog_warnings",
    "cli.send.shipment",
    "cli.send.progress",
    "cli.send.summary",
    "cli.send.claiming",
    "cli.send.recorded",
    "cli.send.keeping",
    "cli.send.sending",
    "cli.send.command",
    "cli.demo.workload",
    "cli.demo.fault_plan",
    "cli.demo.progress",
    "cli.demo.balance",
    "cli.demo.report",
    "cli.demo.command",
    "cli.sandbox.random_faults",
    "cli.sandbox.catalog",
    "cli.sandbox.chosen_switches",
    "cli.sandbox.lines",
    "cli.sandbox.feed",
    "cli.sandbox.command",
    "cli.catalog",
    "cli.events.records",
    "cli.events.following",
    "cli.events.command",
    "cli.reconcile.facts",
    "cli.reconcile.verdict",
    "cli.reconcile.period",
    "cli.reconcile.expectation",
    "cli.reconcile.sources",
    "cli.reconcile.counting",
    "cli.reconcile.naming",
    "cli.reconcile.proving",
    "cli.reconcile.table",
    "cli.reconcile.command",
    "cli.app",
]
SHARED = {
    "cli.formats",
    "cli.options",
    "cli.remedies",
    "cli.processes",
    "cli.relay_processes",
    "cli.beside_a_relay",
    "cli.not_answered",
    "cli.togai_asked",
    "cli.togai_lists",
    "cli.togai_metrics",
    "cli.events_asked",
    "cli.captured_log",
    "cli.streams",
    "cli.terminal",
    "cli.screen",
    "cli.private_files",
    "cli.display",
    "cli.on_demand",
    "cli.relay_journal",
    "cli.watching",
    "cli.spool.directory",
    "cli.spool.trial",
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


@pytest.mark.parametrize("module", [name for name in ORDER if name not in ("cli.terminal", "cli.screen")])
def test_a_module_prints_by_way_of_those_that_make_text_printable(module: str) -> None:
    tree = ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text("utf-8"))

    calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}

    assert not calls & WRITES

"""Spools as processes leave them, for the tests of ``togai-shipper spool``."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import attrs
from click.testing import CliRunner

from togai_shipper import Event
from togai_shipper._engine.self_report import SelfReport
from togai_shipper.cli.app import cli
from togai_shipper.cli.formats import now_ms
from togai_shipper.spool.claims import Claim
from togai_shipper.spool.file import SELF_REPORT, SpoolFile
from togai_shipper.spool.folder import Folder
from togai_shipper.spool.rows import DeadLetter

DAY = 86_400_000  # milliseconds
URL = "https://api.togai.com"
WELL = SelfReport(at_ms=1, since_ms=1)


def run(*arguments: object, stdin: str = "", obj: Any = None) -> Any:
    return CliRunner().invoke(cli, ["spool", *map(str, arguments)], input=stdin, obj=obj)


def event(name: str, account: str = "acme", schema: str = "api_call") -> bytes:
    return Event(schema, account, {"count": 1}, {"region": "eu"}, id=name).encode()


def letter(name: str, reason: str = "rejected", days: float = 0, **facts: Any) -> DeadLetter:
    then = now_ms() - int(days * DAY)
    made = DeadLetter(name, then, event(name), reason, 400, "no such schema", 3, then)
    return attrs.evolve(made, **facts)


@attrs.define
class Spool:
    """A directory, and what processes leave in it."""

    path: Path

    def file(
        self,
        *pending: str,
        letters: tuple[DeadLetter, ...] = (),
        url: str = URL,
        owned: bool = False,
        report: SelfReport | None = WELL,
    ) -> Claim:
        claim = Folder(str(self.path)).new()
        said = {SELF_REPORT: report.as_text()} if report else {}
        file = SpoolFile.create(claim.path, {"base_url": url, **said})
        file.append([(now_ms() - 3 * 3_600_000, False, event(name)) for name in pending])
        file.bury(letters)
        file.close()
        if not owned:
            claim.release()
        return claim

    def damage(self, claim: Claim, statement: str) -> None:
        connection = sqlite3.connect(claim.path)
        with connection:
            connection.execute(statement)
        connection.close()

    def ids(self) -> tuple[set[str], set[str]]:
        """Those pending, and those dead."""
        lines = run("export", "--pending", self.path).stdout.splitlines()
        dead = run("ls", "--dead", "--json", self.path).stdout.splitlines()
        return {json.loads(line)["id"] for line in lines}, {json.loads(line)["id"] for line in dead}

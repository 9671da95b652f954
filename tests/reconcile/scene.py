"""A Togai that has events of some days, and ``togai-shipper reconcile`` beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta, timezone
from pathlib import Path
from typing import Any

import attrs
from click.testing import CliRunner, Result

from togai_shipper.cli.app import cli
from togai_shipper.cli.reconcile.command import Today
from togai_shipper.testing import FakeTogai

DAY = date(2026, 11, 20)
NOW = datetime(2026, 11, 28, 9, tzinfo=timezone.utc)


NOON = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)


def at(day: date, hour: float = 12.0) -> datetime:
    return datetime.combine(day, time(), timezone.utc) + timedelta(hours=hour)


def event(
    event_id: str, schema: str = "api_call", account: str = "acme", when: datetime = NOON
) -> dict[str, Any]:
    return {
        "id": event_id,
        "schemaName": schema,
        "accountId": account,
        "timestamp": when.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "attributes": [{"name": "count", "value": "1"}],
        "dimensions": {},
    }


@attrs.define
class Scene:
    """What Togai has received, and what our side expects."""

    togai: FakeTogai
    folder: Path
    now: datetime = NOW
    _clock: list[float] = attrs.field(factory=list)

    def receive(self, events: Iterable[Mapping[str, Any]], when: datetime | None = None) -> None:
        """Have Togai receive events, at the moment of each by itself or at another."""
        for each in events:
            moment = when or datetime.fromisoformat(each["timestamp"].replace("Z", "+00:00"))
            self._clock[:] = [moment.timestamp()]
            self.togai.clock = lambda: self._clock[0]
            self.togai.ledger.accept([dict(each)])
        self.togai.clock = self.now.timestamp

    def expect(
        self, *rows: Sequence[object], columns: str = "day,schema,count", name: str = "expected.csv"
    ) -> str:
        """Write a file of what is expected."""
        path = self.folder / name
        path.write_text("\n".join([columns, *(",".join(map(str, row)) for row in rows)]) + "\n")
        return str(path)

    def run(self, *arguments: str, day: date | None = DAY, **environ: str) -> Result:
        """Run the command, about ``DAY``."""
        given = ["reconcile", "--rate-limit", "10", *(() if day is None else ("--day", str(day))), *arguments]
        environ = {"TOGAI_API_KEY": "secret", "TOGAI_BASE_URL": self.togai.url, **environ}
        return CliRunner(env=environ).invoke(cli, given, obj=Today(lambda: self.now), catch_exceptions=False)

    def looked_up(self) -> list[str]:
        """What was asked of Togai."""
        return [f"{each.method} {each.path}" for each in self.togai.requests]

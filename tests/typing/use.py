"""What users write: type checkers find nothing to say of it, and it runs."""
# ruff: noqa: T201  printing stands for any use

from __future__ import annotations

import asyncio
from collections.abc import Generator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from unittest.mock import ANY

import requests

import togai_shipper
from togai_shipper import (
    ApiKey,
    Attribute,
    Attributes,
    DeliveryError,
    Event,
    FlushReport,
    InvalidEvent,
    Options,
    Outcome,
    Shipper,
    Stats,
    TogaiShipperError,
)
from togai_shipper.contrib.aws_lambda import flush_after
from togai_shipper.contrib.celery import install
from togai_shipper.testing import FakeTogai, RecordedEvents, faults

OPTIONS: Options = {"enabled": False, "flush_interval": 1, "rate_limit": None, "overflow": "block"}


# --- options and callbacks ----------------------------------------------------------------------------------


def key() -> str:
    return "secret"


def on_error(error: Exception, events: tuple[Event, ...]) -> None:
    if isinstance(error, DeliveryError):
        print(error.status, error.message, error.maybe_delivered, [event.id for event in events])


class Failures:
    def __init__(self) -> None:
        self.count = 0

    def add(self, error: TogaiShipperError, events: tuple[Event, ...]) -> int:
        self.count += len(events)
        return self.count


def redact(event: Event) -> Event | None:
    dimensions = {name: value for name, value in event.dimensions.items() if name != "email"}
    if event.account_id == "internal":
        return None
    return Event(event.schema_name, event.account_id, event.attributes, dimensions, event.timestamp, event.id)


def session() -> requests.Session:
    return requests.Session()


def make(directory: Path, api_key: ApiKey = key) -> Shipper:
    return Shipper(
        api_key,
        enabled=False,
        timeout=(5, 30),
        flush_interval=1,
        rate_limit=45 / 4,
        overflow="raise",
        spool=directory,
        on_error=Failures().add,
        on_delivered=print,
        before_send=lambda event: event if event.account_id else None,
        session_factory=session,
    )


# --- tracking -----------------------------------------------------------------------------------------------


def meter(shipper: Shipper, account: str, attributes: Attributes = (), **dimensions: str) -> str | None:
    return shipper.track("api_call", account, attributes, dimensions)


def track(shipper: Shipper) -> None:
    counts = {"calls": 1, "tokens": 1200}
    costs: dict[str, Decimal] = {"total": Decimal("19.90")}
    tags: Mapping[str, str] = {"region": "eu-west-1"}
    for attributes in (counts, costs):
        event_id: str | None = shipper.track("api_call", "acme", attributes, tags)
        print(event_id)
    shipper.track("api_call", "acme", {"count": 1, "latency": (12.5, "Milliseconds"), "total": "19.90"})
    shipper.track("api_call", "acme", {"count": 1, "total": Decimal(2), "ratio": 0.5}, {})
    shipper.track("api_call", "acme", [Attribute("count", 1), Attribute("ms", 12.5, "Milliseconds")])
    shipper.track("api_call", "acme", (Attribute(name, count) for name, count in counts.items()))
    shipper.track("order", "acme", timestamp=datetime.now(timezone.utc), event_id="order-7")
    shipper.track("order", "acme", timestamp="2026-01-31T23:59:59Z", idempotency_key="order-7/1")
    meter(shipper, "acme", {"count": 1}, region="eu-west-1")
    meter(shipper, "acme", counts)
    by_name = {name: Attribute(name, count) for name, count in counts.items()}
    for given in (list(by_name.values()), by_name.values(), set(by_name.values())):
        shipper.track("api_call", "acme", given)
    event = Event("api_call", "acme", {"count": 1}, {"region": "eu"}, id="mine")
    first: Attribute = event.attributes[0]
    print(first.value + event.timestamp + event.encode().decode())
    shipper.track_event(event)
    future: Future[Outcome] = shipper.submit("order", "acme", {"total": "19.90"}, event_id="order-8")
    print(future.result(timeout=5).error)
    try:
        Event("api_call", "", [Attribute("count", 1)], timestamp=datetime.now(timezone.utc))
    except InvalidEvent as error:
        print(error.field, error.problem)


# --- measuring ----------------------------------------------------------------------------------------------


def measured(shipper: Shipper) -> int:
    counts = {"one": 1}

    @shipper.metered(
        "render", lambda call: str(call.args[0]), {"pages": lambda call: len(call.result), "one": 1}
    )
    def render(account: str) -> list[str]:
        return [account]

    @shipper.metered(
        "store",
        "acme",
        {"size": lambda call: (len(call.args[0]), "Bytes"), "price": (Decimal("0.1"), "USD"), "one": 1},
        {"region": lambda call: "eu", "kind": "text"},
    )
    async def store(text: str) -> int:
        return len(text)

    @shipper.metered("count", "acme", counts, duration="took", when=lambda call: call.seconds > 1)
    def count() -> int:
        return 1

    with shipper.measure("chat", None, counts) as chat:
        chat.account_id = "acme"
        chat.add("price", Decimal("0.1"), "USD")
    pages: list[str] = render("acme")
    return len(pages) + asyncio.run(store("text")) + count()


# --- ends ---------------------------------------------------------------------------------------------------


@contextmanager
def metering() -> Generator[Shipper, None, None]:
    with Shipper(**OPTIONS) as shipper:
        yield shipper
        report: FlushReport = shipper.flush(timeout=5)
        print(report.delivered if report else report.pending)
    stats: Stats = shipper.stats()
    print(stats.refused["disabled"], stats.left_out["when"])
    print(stats.dropped.get("closed", 0), stats.last_error or "well", stats.state)


async def within_a_loop() -> FlushReport:
    async with Shipper(enabled=False) as shipper:
        shipper.track("api_call", "acme", {"count": 1})
        await shipper.aflush(5)
    return await shipper.aclose()


@flush_after(timeout=1)
def handler(event: dict[str, str], context: object) -> dict[str, int]:
    togai_shipper.track("invocation", event["account"], {"count": 1}, idempotency_key="1")
    return {"statusCode": 200}


def by_module() -> None:
    togai_shipper.configure(enabled=False, close_timeout=1, on_error=on_error, before_send=redact)
    togai_shipper.configure(**OPTIONS)
    togai_shipper.track("api_call", "acme", {"ms": (12.5, "Milliseconds")}, {"region": "eu"}, event_id="e")
    report = togai_shipper.metered("report", lambda call: call.args[0], {"pages": 1})(str.upper)
    with togai_shipper.measure("block", report("acme"), outcome="status") as block:
        block.add("tokens", 2)
    receipt: Future[Outcome] = togai_shipper.submit("order", "acme", {"n": 1})
    print(receipt.result(1).status, togai_shipper.sync(1))
    code: int = handler({"account": "acme"}, None)["statusCode"]
    print(code, togai_shipper.stats().accepted, togai_shipper.flush(1).pending, togai_shipper.close().pending)


# --- tests --------------------------------------------------------------------------------------------------


def test_recording(recorded_events: RecordedEvents) -> None:
    recorded_events.make(before_send=redact, on_error=on_error).track("order", "acme", {"n": 1})
    found = recorded_events.assert_tracked("order", account="acme", attributes={"n": ANY}, times=1)
    account: str = found[0].account_id
    assert [account] == [event.account_id for event in recorded_events]


def test_sending(fake_togai: FakeTogai) -> None:
    fake_togai.script(faults.Reset(ingest="half"), None)
    with Shipper("secret", base_url=fake_togai.url, backoff_initial=0.01) as shipper:
        shipper.track("order", "acme")
    assert fake_togai.wait(lambda: fake_togai.ledger.metered == 1)


def main(directory: Path) -> None:
    with make(directory) as shipper:
        track(shipper)
        measured(shipper)
    install(shipper)
    with metering() as shipper:
        shipper.track("api_call", "acme")
    asyncio.run(within_a_loop())
    by_module()
    with RecordedEvents() as recorded:
        test_recording(recorded)
    with FakeTogai("secret") as togai:
        test_sending(togai)


if __name__ == "__main__":
    main(Path("spool"))

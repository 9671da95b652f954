"""What users get wrong: type checkers say so at each line that ends with "E", and at no other."""
# ruff: noqa: T201  printing stands for any use

from __future__ import annotations

import asyncio

import togai_shipper
from togai_shipper import ApiKey, Attribute, Event, Options, Shipper
from togai_shipper.contrib.aws_lambda import flush_after
from togai_shipper.testing import FakeTogai, RecordedEvents


def on_error(error: str, events: tuple[Event, ...]) -> None: ...


def on_delivered(events: list[Event]) -> None: ...


def before_send(event: Event) -> bool:
    return True


def options() -> None:
    Shipper(secret="secret")  # E
    Shipper("secret", "https://api.togai.com")  # E
    Shipper(flush_interval="2")  # E
    Shipper(timeout=30)  # E
    Shipper(overflow="drop")  # E
    Shipper(on_error=on_error)  # E
    Shipper(on_delivered=on_delivered)  # E
    Shipper(before_send=before_send)  # E
    Shipper(session_factory=dict)  # E
    togai_shipper.configure(batch_sise=100)  # E
    togai_shipper.configure(batch_size="100")  # E
    given: Options = {"strict": "yes"}  # E
    other: Options = {"strickt": True}  # E
    key: ApiKey = b"secret"  # E
    print(given, other, key)


def tracking(shipper: Shipper) -> None:
    shipper.track("api_call")  # E
    shipper.track("api_call", 7)  # E
    shipper.track("api_call", "acme", 1)  # E
    shipper.track("api_call", "acme", {"count": None})  # E
    shipper.track("api_call", "acme", {"count": (1, 2)})  # E
    shipper.track("api_call", "acme", {1: 1})  # E
    shipper.track("api_call", "acme", ["count"])  # E
    shipper.track("api_call", "acme", {}, {"code": 200})  # E
    shipper.track("api_call", "acme", {}, {}, "2026-01-31T23:59:59Z")  # E
    shipper.track("api_call", "acme", timestamp=1769903999)  # E
    shipper.track("api_call", "acme", event_id=7)  # E
    shipper.track("api_call", "acme", idempotency=7)  # E
    event_id: str = shipper.track("api_call", "acme")  # E
    shipper.submit("order", 7)  # E
    delivered: bool = shipper.submit("order", "acme").result()  # E
    print(delivered)
    shipper.track_event({"schemaName": "api_call"})  # E
    togai_shipper.track("api_call")  # E
    togai_shipper.track("api_call", "acme", {"count": None})  # E
    togai_shipper.track("api_call", "acme", event_id=7)  # E
    print(event_id)


def measuring(shipper: Shipper) -> None:
    shipper.metered("render")  # E
    shipper.metered("render", 7)  # E
    shipper.metered("render", "acme", {"count": None})  # E
    shipper.metered("render", "acme", duration=True)  # E
    shipper.metered("render", "acme", idempotency_key="7")  # E
    shipper.metered("render", "acme", when=True)  # E
    length: str = shipper.metered("render", "acme")(len)("")  # E
    with shipper.measure("chat", "acme") as chat:
        chat.add("tokens", None)  # E
        chat.add(1)  # E
        chat.dimensions["status"] = 200  # E
    print(length)


def events() -> None:
    Event("api_call", 7)  # E
    Event("api_call", "acme", {"count": None})  # E
    Event("api_call", "acme", {}, {"code": 200})  # E
    Event("api_call", "acme", timestamp=1769903999)  # E
    Attribute("count", None)  # E
    Attribute("count", 1, 2)  # E
    Event("api_call", "acme").id = "e"  # E


def ends(shipper: Shipper) -> None:
    shipper.flush("5")  # E
    shipper.stats().accepted = 0  # E
    shipper.stats().refused["ful"] + "1"  # E
    shipper.set_api_key(None)  # E
    shipper.healthy()  # E
    delivered: str = shipper.flush().delivered  # E
    print(delivered)


async def within_a_loop(shipper: Shipper) -> None:
    with await shipper.aflush():  # E
        pass
    await shipper.flush()  # E
    await asyncio.wait_for(shipper.close(), 1)  # E


@flush_after(shipper="default")  # E
def handler(event: object, context: object) -> None: ...


def testing(recorded_events: RecordedEvents, fake_togai: FakeTogai) -> None:
    recorded_events.assert_tracked()  # E
    recorded_events.assert_tracked("order", attributes=["n"])  # E
    recorded_events.assert_tracked("order", times="once")  # E
    recorded_events.make(batch_sise=100)  # E
    recorded_events.record("shipper")  # E
    fake_togai.script("reset")  # E

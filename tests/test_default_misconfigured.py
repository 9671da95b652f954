"""The default shipper where the environment is wrong: the application goes on, and the log says so."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from virtual import Clock

from togai_shipper import ConfigurationError, FlushReport, InvalidEvent, Outcome, Shipper
from togai_shipper import _default as default
from togai_shipper.testing import FakeTogai, RecordedEvents

EVENT = ("api_call", "acme", {"count": 1})


@pytest.fixture(autouse=True)
def _unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("TOGAI_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def one(clock: Clock) -> default.DefaultShipper:
    return default.DefaultShipper(clock=clock)


@pytest.fixture
def _no_key() -> Iterator[None]:
    """The functions of the module, where there is no key."""
    with default.replaced(Shipper):
        yield


def refused(one: default.DefaultShipper, reason: str = "misconfigured") -> int:
    return one.stats().refused[reason]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("API_KEY", ""),
        ("API_KEY", "two words"),
        ("FLUSH_INTERVAL", "5s"),
        ("TIMEOUT", "5"),
        ("TIMEOUT", "5,never"),
        ("BATCH_SIZE", "many"),
        ("BASE_URL", "api.togai.com"),
        ("BASE_URL", "http://api.togai.com"),
        ("BACKOFF_MAX", "0.1"),
        ("OVERFLOW", "drop_old"),
        ("ENABLED", "maybe"),
        ("STRICT", "maybe"),
        ("MAX_SPOOL_BYTES", "1GiB"),
    ],
)
def test_a_wrong_variable_refuses_the_event_and_is_named_in_an_error(
    one: default.DefaultShipper,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
    value: str,
) -> None:
    monkeypatch.setenv("TOGAI_API_KEY", "secret")
    monkeypatch.setenv(f"TOGAI_{name}", value)

    assert one.shipper().track(*EVENT) is None
    assert refused(one) == 1
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "an event was refused (misconfigured)" in record.getMessage()
    assert (name if value else "api_key").lower() in record.getMessage().lower()


@pytest.mark.usefixtures("_no_key")
def test_no_function_of_the_module_but_configure_raises_where_there_is_no_key() -> None:
    import togai_shipper  # noqa: PLC0415  as applications call them

    @togai_shipper.metered("job", "acme", {"count": 1})
    def work() -> str:
        return "done"

    with togai_shipper.measure("block", "acme") as measured:
        measured.add("tokens")
    assert work() == "done"
    assert togai_shipper.track(*EVENT) is None
    outcome: Outcome = togai_shipper.submit(*EVENT).result(0)
    assert (outcome.status, outcome.reason, outcome.event_id) == ("refused", "misconfigured", None)
    assert isinstance(outcome.error, ConfigurationError)
    assert togai_shipper.flush() == FlushReport()
    assert not togai_shipper.sync()
    with togai_shipper.measure("block", None):
        pass
    stats = togai_shipper.stats()
    assert stats.refused["misconfigured"] == 4
    assert stats.left_out["no account"] == 1
    assert stats.accepted == stats.pending == 0
    assert stats.last_error == "api_key: missing; give api_key=, or set TOGAI_API_KEY"
    assert togai_shipper.close() == FlushReport()
    with pytest.raises(ConfigurationError):
        togai_shipper.configure()
    assert togai_shipper.stats().refused["misconfigured"] == 4


def test_the_stand_in_has_all_that_a_shipper_has(one: default.DefaultShipper) -> None:
    stand_in = one.shipper()

    assert not stand_in.healthy
    assert stand_in.pending == 0
    assert stand_in.close_timeout == 10.0
    stand_in.set_api_key("secret")
    assert repr(stand_in) == "<Shipper open: 0 pending, 0 delivered, 0 rejected, 0 dropped>"
    assert one.made() is stand_in


def test_it_recovers_once_the_environment_is_right_and_keeps_its_counts(
    one: default.DefaultShipper, clock: Clock, monkeypatch: pytest.MonkeyPatch, togai: FakeTogai
) -> None:
    assert one.shipper().track(*EVENT) is None
    monkeypatch.setenv("TOGAI_API_KEY", "secret")  # as load_dotenv() does
    monkeypatch.setenv("TOGAI_BASE_URL", togai.url)
    clock.now += 0.9
    assert one.shipper().track(*EVENT) is None
    with one.shipper().measure("block", None):
        pass
    clock.now += 0.1

    event_id = one.shipper().track(*EVENT)
    assert event_id
    assert one.shipper().close(10)
    assert togai.ledger.ids == {event_id}
    assert refused(one) == 2
    assert (one.stats().delivered, one.stats().left_out["no account"]) == (1, 1)


def test_the_environment_is_read_once_a_second_at_most(clock: Clock) -> None:
    reads = []

    def make() -> Shipper:
        reads.append(clock.now)
        return Shipper()

    one = default.DefaultShipper(make, clock)
    for _ in range(25):
        one.shipper().track(*EVENT)
        clock.now += 0.1

    assert len(reads) == 3
    assert refused(one) == 25


def test_the_same_is_said_once_a_minute_and_something_else_at_once(
    one: default.DefaultShipper,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for _ in range(119):
        one.shipper().track(*EVENT)
        clock.now += 1
    assert len(caplog.records) == 2
    monkeypatch.setenv("TOGAI_API_KEY", "secret")
    monkeypatch.setenv("TOGAI_BATCH_SIZE", "0")
    one.shipper().track(*EVENT)

    assert "TOGAI_BATCH_SIZE" in caplog.messages[-1]
    assert "59 more like this" in caplog.messages[1]


def test_strict_still_raises_what_is_wrong_with_an_event(
    one: default.DefaultShipper, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert one.shipper().track("", "acme") is None
    monkeypatch.setenv("TOGAI_STRICT", "1")
    clock.now += 1
    with pytest.raises(InvalidEvent):
        one.shipper().track("", "acme")
    assert one.shipper().track(*EVENT) is None

    assert (refused(one, "invalid"), refused(one)) == (2, 1)


def test_a_recording_of_a_test_says_why_nothing_was_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOGAI_BATCH_SIZE", "0")
    with RecordedEvents() as recorded:
        default.track(*EVENT)
        with pytest.raises(AssertionError, match="no shipper can be made: TOGAI_BATCH_SIZE: must be"):
            recorded.assert_tracked("api_call")
        with pytest.raises(ConfigurationError, match="TOGAI_BATCH_SIZE"):
            recorded.shipper.track(*EVENT)


def test_whatever_else_keeps_a_shipper_from_being_made_is_no_error_of_the_request(clock: Clock) -> None:
    def make() -> Shipper:
        raise ImportError("cannot import name 'Session'")

    one = default.DefaultShipper(make, clock)

    assert one.shipper().track(*EVENT) is None
    assert one.stats().last_error == "no shipper can be made: ImportError: cannot import name 'Session'"


def test_closed_is_closed_until_configure_though_the_environment_is_right_by_then(
    one: default.DefaultShipper, clock: Clock, monkeypatch: pytest.MonkeyPatch, togai: FakeTogai
) -> None:
    one.shipper().close()
    monkeypatch.setenv("TOGAI_API_KEY", "secret")
    clock.now += 1
    assert one.shipper().track(*EVENT) is None
    assert (refused(one, "closed"), one.stats().state) == (1, "closed")

    one.configure(base_url=togai.url)
    event_id = one.shipper().track(*EVENT)
    assert one.shipper().close(10)
    assert togai.ledger.ids == {event_id}


CHILD = """
import os, togai_shipper

for closes in (False, True):
    assert togai_shipper.track("api_call", "acme") is None
    if closes:
        togai_shipper.close()
    child = os.fork()
    if child == 0:
        assert togai_shipper.track("api_call", "acme") is None
        refused = togai_shipper.stats().refused
        os._exit(not (refused["closed"], refused["misconfigured"]) == (closes, not closes))
    assert os.waitpid(child, 0)[1] == 0
"""


def test_a_forked_child_counts_its_own_and_is_closed_where_its_parent_was() -> None:
    subprocess.run([sys.executable, "-c", CHILD], check=True, timeout=60)


def test_a_log_handler_that_tracks_is_not_called_for_ever(one: default.DefaultShipper) -> None:
    class Tracking(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            one.shipper().track("line", "acme", {"count": 1})

    handler: Any = Tracking()
    logger = logging.getLogger("togai_shipper")
    logger.addHandler(handler)
    try:
        one.shipper().track(*EVENT)
    finally:
        logger.removeHandler(handler)

    assert (refused(one), refused(one, "feedback")) == (1, 1)

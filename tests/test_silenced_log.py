"""Where logging is silenced by the way, what is lost is said all the same; where it was meant, it is not."""

from __future__ import annotations

import io
import logging
import logging.config
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from virtual import world

from togai_shipper._engine.log import Log
from togai_shipper._engine.verdict import Reply

LOGGER = logging.getLogger("togai_shipper")
GIVEN_UP = "closed with 3 events undelivered and given up; last error: HTTP 503"
ON_STDERR = f"togai_shipper: {GIVEN_UP}\n"


def configured(stream: Any, **more: Any) -> None:
    """Configure logging as applications do."""
    handler = {"class": "logging.StreamHandler", "stream": stream, "formatter": "plain"}
    logging.config.dictConfig(
        {
            "version": 1,
            "formatters": {"plain": {"format": "%(name)s %(message)s"}},
            "handlers": {"here": handler},
            "root": {"level": "INFO", "handlers": ["here"]},
            **more,
        }
    )


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """What the application's own handler is given. Logging is as before afterwards."""
    root, ours = logging.getLogger(), LOGGER
    others = [each for each in logging.Logger.manager.loggerDict.values() if isinstance(each, logging.Logger)]
    disabled = {each: each.disabled for each in others}
    before = root.level, root.handlers[:], ours.level, ours.handlers[:], ours.propagate
    root.handlers[:] = []
    yield io.StringIO()
    root.level, root.handlers[:], ours.level, ours.handlers[:], ours.propagate = before
    for each, was_disabled in disabled.items():
        each.disabled = was_disabled
    logging.disable(logging.NOTSET)


def lose() -> None:
    """Lose three events at the end."""
    w = world()
    w.server.answer = lambda sent: Reply(503, b"")
    w.put(3)
    w.pipeline.close(1)


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err


def test_a_configuration_that_disables_us_by_default_silences_no_loss(
    logged: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    configured(logged)
    assert LOGGER.disabled
    lose()

    assert logged.getvalue() == f"togai_shipper {GIVEN_UP}\n"
    assert said(capsys) == ON_STDERR


def test_what_the_application_says_on_stderr_is_not_said_twice(
    logged: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    configured("ext://sys.stderr")
    lose()

    assert said(capsys) == f"togai_shipper {GIVEN_UP}\n"


def by_hand() -> None:
    LOGGER.disabled = True


def of_a_file(folder: Path) -> None:
    (folder / "logging.ini").write_text(
        "[loggers]\nkeys=root\n[handlers]\nkeys=null\n[formatters]\nkeys=\n"
        "[logger_root]\nlevel=INFO\nhandlers=null\n"
        "[handler_null]\nclass=FileHandler\nargs=('log',)\n".replace("'log'", repr(str(folder / "log")))
    )
    logging.config.fileConfig(folder / "logging.ini")


@pytest.mark.parametrize(
    "silence",
    [lambda _: by_hand(), lambda _: logging.disable(), of_a_file],
    ids=["by hand", "logging.disable", "fileConfig"],
)
def test_no_other_way_of_disabling_silences_a_loss(
    logged: io.StringIO, capsys: pytest.CaptureFixture[str], tmp_path: Path, silence: Callable[[Path], None]
) -> None:
    silence(tmp_path)
    lose()
    for handler in logging.getLogger().handlers:
        handler.close()

    assert GIVEN_UP in said(capsys)


def a_level() -> None:
    LOGGER.setLevel(logging.CRITICAL + 1)


def no_handler() -> None:
    LOGGER.addHandler(logging.NullHandler())
    LOGGER.propagate = False


def deaf_handler() -> None:
    logging.getLogger().handlers[0].setLevel(logging.CRITICAL + 1)


@pytest.mark.parametrize("meant", [a_level, no_handler, deaf_handler])
def test_a_silence_that_was_meant_is_kept(
    logged: io.StringIO, capsys: pytest.CaptureFixture[str], meant: Callable[[], None]
) -> None:
    configured(logged)
    meant()
    lose()

    assert (logged.getvalue(), said(capsys)) == ("", "")


def test_what_loses_nothing_stays_silent(logged: io.StringIO, capsys: pytest.CaptureFixture[str]) -> None:
    configured(logged)
    Log(lambda: 0.0).write(logging.ERROR, "delivery is parked")

    assert (logged.getvalue(), said(capsys)) == ("", "")


class Raising(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise OSError("no space left on device")


def test_a_handler_that_raises_does_not_keep_it_from_stderr(
    logged: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    configured(logged)
    logging.getLogger().handlers[:] = [Raising()]
    lose()

    assert said(capsys) == ON_STDERR


def test_a_loss_is_said_where_no_logger_is_disabled_and_a_handler_raises(
    logged: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    configured(logged, disable_existing_loggers=False)
    logging.getLogger().handlers[:] = [Raising()]
    lose()

    assert said(capsys) == ON_STDERR


def test_a_filter_of_our_logger_is_asked(logged: io.StringIO) -> None:
    configured(logged)
    LOGGER.addFilter(nothing := lambda record: False)
    lose()
    LOGGER.removeFilter(nothing)

    assert logged.getvalue() == ""


STREAMS = """
import logging.config, sys
from togai_shipper import Shipper

shipper = Shipper("secret", base_url="http://127.0.0.1:9", close_timeout=0.2)
logging.config.dictConfig({"version": 1})
if sys.argv[1] == "None":
    sys.stderr = None
elif sys.argv[1] == "closed":
    sys.stderr.close()
shipper.track("api_call", "acme")
assert shipper.track("", "acme") is None
assert not shipper.close()
assert shipper.stats().dropped == {"closed": 1}
"""


@pytest.mark.parametrize("stderr", ["open", "None", "closed"])
def test_no_standard_error_is_no_error(stderr: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", STREAMS, stderr],
        env={name: value for name, value in os.environ.items() if not name.startswith("TOGAI_")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr
    lines = ["an event was refused (invalid): schema_name", "closed with 1 event undelivered and given up"]
    told = done.stderr.splitlines()
    assert len(told) == (2 if stderr == "open" else 0), done.stderr
    assert all(line in said for line, said in zip(lines, told, strict=False))

"""Every line of the log is one line, whatever a stranger has put into it."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

from togai_shipper._engine.log import MOST_KINDS, Log

HOSTILE = "a\x1b]0;pwned\x07\r\nERROR forged\u202e\u2028\x9b\ufeff\ud800"
SHOWN = "a ]0;pwned   ERROR forged     "


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What a handler with the usual format writes."""
    logger, stream = logging.getLogger("togai_shipper"), io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logger.addHandler(handler)
    yield stream
    logger.removeHandler(handler)


def log() -> Log:
    return Log(lambda: 0.0)


def fail(text: str) -> None:
    raise ValueError(text)


class Unspeakable:
    def __str__(self) -> str:
        raise RuntimeError


def test_whatever_is_put_into_a_line_is_made_printable(written: io.StringIO) -> None:
    log().complain("kind", "%s of %d, %.1f s, %s", HOSTILE, 3, 2.5, ValueError(HOSTILE))

    assert written.getvalue() == f"WARNING {SHOWN} of 3, 2.5 s, {SHOWN}\n"


def test_the_line_itself_is_made_printable(written: io.StringIO) -> None:
    log().write(logging.ERROR, HOSTILE)

    assert written.getvalue() == f"ERROR {SHOWN}\n"


def test_what_cannot_be_written_as_text_costs_no_line(written: io.StringIO) -> None:
    log().write(logging.ERROR, "%s raised", Unspeakable())

    assert written.getvalue() == "ERROR Unspeakable raised\n"


def test_a_traceback_is_indented_and_its_exception_left_for_handlers(
    written: io.StringIO, caplog: pytest.LogCaptureFixture
) -> None:
    try:
        fail(HOSTILE)
    except ValueError as error:
        log().write(logging.ERROR, "it raised", exc_info=True)
        raised = error

    first, *others = written.getvalue().removesuffix("\n").split("\n")
    assert first == "ERROR it raised"
    assert others[-2:] == ["  ValueError: a ]0;pwned", "  ERROR forged"]
    assert all(line.startswith("  ") and line.isprintable() for line in others)
    assert caplog.records[0].exc_info == (ValueError, raised, raised.__traceback__)


def test_what_is_said_on_stderr_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    logging.disable()
    try:
        log().write(logging.ERROR, "lost: %s", HOSTILE, loss=True)
    finally:
        logging.disable(logging.NOTSET)

    assert f"togai_shipper: lost: {SHOWN}\n" in capsys.readouterr().err


def test_a_level_that_nobody_wants_makes_no_record() -> None:
    class Dear:
        def __str__(self) -> str:
            raise AssertionError("nobody has asked")

    logger = logging.getLogger("togai_shipper")
    before, logger.level = logger.level, logging.ERROR
    try:
        assert log().complain("kind", "%s", Dear())
    finally:
        logger.setLevel(before)


def test_a_handler_that_raises_reaches_nobody_and_costs_other_lines_nothing(written: io.StringIO) -> None:
    class Raising(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise RuntimeError

    logger, handler = logging.getLogger("togai_shipper"), Raising()
    logger.addHandler(handler)
    try:
        log().write(logging.WARNING, "one")
        log().write(logging.WARNING, "two")
    finally:
        logger.removeHandler(handler)

    assert written.getvalue() == "WARNING one\nWARNING two\n"


def test_a_record_says_what_it_is_about_in_attributes_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    log().complain("refused", "no %s", "cents", about={"schema": "api_call", "reason": HOSTILE})

    said = {name: value for name, value in vars(caplog.records[0]).items() if name.startswith("togai_")}
    assert said == {"togai_kind": "refused", "togai_schema": "api_call", "togai_reason": SHOWN}


def test_complaints_about_different_things_do_not_hide_each_other(caplog: pytest.LogCaptureFixture) -> None:
    it = log()

    said = [
        it.complain("refused", "no", about={"caller": caller}) for caller in ("a.py:1", "b.py:2", "a.py:1")
    ]

    assert said == [True, True, False]
    assert [record.togai_caller for record in caplog.records] == ["a.py:1", "b.py:2"]  # type: ignore[attr-defined]


def test_an_error_is_followed_by_its_recovery_once_at_warning(caplog: pytest.LogCaptureFixture) -> None:
    it = log()
    it.complain("disk", "it fails", level=logging.ERROR)

    it.recovered("disk", "it works again: %s", "/spool")
    it.recovered("disk", "it works again: %s", "/spool")

    said = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert said == [("ERROR", "it fails"), ("WARNING", "it works again: /spool")]
    assert caplog.records[1].togai_kind == "disk is over"  # type: ignore[attr-defined]


def test_what_was_no_error_has_no_recovery(caplog: pytest.LogCaptureFixture) -> None:
    it = log()
    it.complain("disk", "it is slow")

    it.recovered("disk", "it is fast again")

    assert caplog.messages == ["it is slow"]


def test_only_so_many_complaints_are_remembered_those_that_were_logged_last() -> None:
    it = log()
    for number in range(MOST_KINDS + 1):
        it.complain("refused", "no", about={"caller": number})

    assert not it.complain("refused", "no", about={"caller": MOST_KINDS})
    assert it.complain("refused", "no", about={"caller": 0}), "forgotten, and so logged anew"

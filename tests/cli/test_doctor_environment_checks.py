"""What the doctor finds in the environment."""

from __future__ import annotations

import pytest

from togai_shipper.cli.doctor import environment_checks
from togai_shipper.cli.doctor.check import Check


def test_a_key_that_cannot_be_one_is_told_without_it() -> None:
    check = environment_checks.key({"TOGAI_API_KEY": "secret\n"})

    assert check.level == "fail"
    assert "a line end in the file it was read from?" in check.found
    assert "secret" not in check.found


@pytest.mark.parametrize(
    ("name", "found", "advice"),
    [
        ("TOGAI_FLUSHINTERVAL", "is not an option, and is not read", "Did you mean TOGAI_FLUSH_INTERVAL?"),
        ("togai_api_key", "is not an option, and is not read", "Did you mean TOGAI_API_KEY?"),
        (
            "TOGAI_ON_ERROR",
            "cannot be set in the environment, and is not read",
            "Pass on_error= in your code.",
        ),
        ("TOGAI_XYZZY", "is not an option, and is not read", "Remove it if it was meant for this library."),
    ],
)
def test_a_name_that_is_not_read_is_told(name: str, found: str, advice: str) -> None:
    (check,) = environment_checks.unknown_names({name: "1", "PATH": "/bin"})

    assert check == Check("warn", name, found, advice)


def test_each_option_that_would_be_refused_is_told() -> None:
    environ = {"TOGAI_API_KEY": "\n", "TOGAI_BATCH_SIZE": "x", "TOGAI_TIMEOUT": "5", "TOGAI_STRICT": "yes"}

    found, config = environment_checks.options(environ, base_url="nowhere")

    assert [(check.level, check.name) for check in found] == [
        ("fail", "base_url"),
        ("fail", "TOGAI_BATCH_SIZE"),
        ("fail", "TOGAI_TIMEOUT"),
    ]
    assert config.strict


def test_two_options_that_do_not_go_together_are_told_and_the_others_kept() -> None:
    environ = {"TOGAI_BACKOFF_INITIAL": "9", "TOGAI_BACKOFF_MAX": "5", "TOGAI_BASE_URL": "https://x.example"}

    (check,), config = environment_checks.options(environ)

    assert (check.name, config.base_url) == ("backoff_max", "https://x.example")


def test_how_many_are_set_is_counted() -> None:
    environ = {"TOGAI_STRICT": "no", "TOGAI_SPOOL": "/x", "TOGAI_BATCH_SIZE": ""}

    (check,), _ = environment_checks.options(environ)

    assert check == Check("ok", "options", "2 set in the environment, none refused")

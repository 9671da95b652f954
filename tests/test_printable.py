"""What a stranger wrote stays in its line, in its order, and is seen."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from togai_shipper._printable import MARKS, printable, printable_traceback


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("plain, and ünïcode", "plain, and ünïcode"),
        ("حساب سداد חשבון", "حساب سداد חשבון"),
        ("顧客 😀 ❤\ufe0f", "顧客 😀 ❤\ufe0f"),
        ("a\r\n\tb\x0b\x0cc", "a   b  c"),
        ("\x1b]0;t\x07\x1b[2J\x7f", " ]0;t  [2J "),
        ("\x85\x9b31m\x90", "  31m "),  # C1
        ("a\u2028b\u2029c", "a b c"),
        ("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c", " " * 12),
        ("a\u200bb\u200cc\u200dd\u2060e\ufefff\u00adg", "a b c d e f g"),
        ("\u00a0\u2003\u3000", "   "),
        ("\ud800\udfff\udc9b", "   "),  # lone surrogates: names of files that are not UTF-8
        ("\ue000\U0010ffff\ufdd0\u0378", "    "),  # private, no character, unassigned
        ("a\U000e0041\U000e007f", "a  "),  # tags
        ("a\u3164b\u115fc\u1160d\uffa0e\u2800f\u034fg\u17b4h\u180bi", "a b c d e f g h i"),
        ("e\u0301a\u0323\u0302", "e\u0301a\u0323\u0302"),
        ("z" + "\u0335" * 6 + "z\u0335", "z" + "\u0335" * 4 + "  z\u0335"),
    ],
)
def test_what_is_seen_of_a_text(given: str, shown: str) -> None:
    assert printable(given) == shown


@given(st.text(st.characters()))
def test_every_text_becomes_one_line_of_the_same_length_for_good(text: str) -> None:
    shown = printable(text)

    assert len(shown) == len(text)
    assert printable(shown) == shown
    assert len(f"{shown}.".splitlines()) == 1
    assert not any(unicodedata.category(character)[0] == "C" for character in shown)
    shown.encode()


@given(st.text(st.characters(categories=["M", "L"]), max_size=50))
def test_no_tower_of_marks_stands_on_a_character(text: str) -> None:
    height = 0
    for character in printable(text):
        height = height + 1 if unicodedata.category(character)[0] == "M" else 0
        assert height <= MARKS


def test_no_line_of_a_traceback_looks_like_one_of_the_log() -> None:
    def fail() -> None:
        raise ValueError("x\x1b[2J\r\nERROR forged\u2028ERROR forged")

    try:
        fail()
    except ValueError as error:
        lines = printable_traceback(error).split("\n")

    assert lines[0] == "  Traceback (most recent call last):"
    assert lines[-2:] == ["  ValueError: x [2J", "  ERROR forged ERROR forged"]
    assert all((line.startswith("  ") or not line) and line.isprintable() for line in lines)

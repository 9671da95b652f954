"""CSV as spreadsheets and their users write it."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sending import AT, CSV_HEADER, Send, accounts, row, write

from togai_shipper.cli.send.columns import BadHeader
from togai_shipper.cli.send.delimiters import declared, delimiter_of, why_another
from togai_shipper.cli.send.headers import read_header
from togai_shipper.cli.send.inputs import Input, LineFormat
from togai_shipper.cli.send.parsing import lines_of
from togai_shipper.testing import FakeTogai

HEADER = CSV_HEADER.strip()
WHOLE = f"{HEADER}\n{row('a', 1)}\n{row('b', 2)}\n"


# --- columns and rows that say nothing --------------------------------------------------------------------


@pytest.mark.parametrize("options", [(), ("--ignore-unknown",)])
@pytest.mark.parametrize("blank", ["", " "])
def test_columns_without_a_name_behind_the_others_are_no_error(
    send: Send, togai: FakeTogai, options: tuple[str, ...], blank: str
) -> None:
    Path("a.csv").write_text(WHOLE.replace("\n", f",{blank},{blank}\n"))

    assert send("a.csv", *options).exit_code == 0
    assert accounts(togai) == ["a", "b"]


def test_a_value_in_a_column_without_a_name_is_told_and_may_be_ignored(send: Send, togai: FakeTogai) -> None:
    write("a.csv", f"{HEADER},,", f"{row('a')},,", f"{row('b')},,see below")

    result = send("a.csv")

    assert result.exit_code == 1
    assert result.stderr == (
        "a.csv:3: has a value in a column without a name; --ignore-unknown leaves it out\n"
    )
    assert send("a.csv", "--ignore-unknown").exit_code == 0
    assert accounts(togai) == ["a", "b"]


def test_a_row_with_another_number_of_columns_is_bad_also_if_these_are_empty(send: Send) -> None:
    """A comma too many in a cell may have moved the others."""
    write("a.csv", f"{HEADER},", f"{row('a')},", f"{row('b')},,", row("c"))

    assert send("a.csv").stdout.startswith("3 lines: 1 delivered, 2 bad (")


def test_of_a_column_without_a_name_before_others_the_user_has_to_say_what_it_is(
    send: Send, togai: FakeTogai
) -> None:
    write("a.csv", f",,{HEADER}", f"0,x,{row('a')}", f"1,y,{row('b')}")

    assert "column '' is not a field of an event" in send("a.csv").stderr
    assert "column '' appears twice" in send("a.csv", "--map", "dimensions.x=").stderr
    assert send("a.csv", "--ignore-unknown").exit_code == 0
    assert accounts(togai) == ["a", "b"]


@pytest.mark.parametrize("nothing", [",,,", ",,,,,,,", ",", " , ,\t,", '"","","",""', '"",,," "'])
def test_a_row_without_a_value_is_no_line(send: Send, togai: FakeTogai, nothing: str) -> None:
    write("a.csv", nothing.replace('"', ""), HEADER, row("a"), nothing, row("b"), nothing, nothing)

    result = send("a.csv")

    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("2 lines: 2 delivered (")
    assert accounts(togai) == ["a", "b"]


def test_a_row_without_a_value_that_may_be_half_of_one_is_left(send: Send, togai: FakeTogai) -> None:
    header = "attributes.count,schema_name,account_id,timestamp"
    Path("a.csv").write_text(f"{header}\n1,s,a,{AT}\n,")
    first = send("a.csv")
    Path("a.csv").write_text(f"{header}\n1,s,a,{AT}\n,s,b,{AT}\n")

    assert (first.exit_code, first.stderr.startswith("a.csv:3: has no line end")) == (1, True)
    assert send("a.csv").exit_code == 0
    assert accounts(togai) == ["a", "b"]


def test_where_files_were_put_one_behind_the_other_the_header_is_no_line(
    send: Send, togai: FakeTogai
) -> None:
    other = WHOLE.replace("a,", "c,")
    Path("a.csv").write_bytes((WHOLE + other).encode() + other.encode("utf-8-sig"))

    result = send("a.csv")

    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("6 lines: 6 delivered (")
    assert accounts(togai) == ["a", "b", "b", "b", "c", "c"]


# --- delimiters -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("delimiter", "given_as"), [(";", ";"), ("\t", "tab"), ("\t", "\\t"), ("|", "|")])
def test_the_delimiter_may_be_given(send: Send, togai: FakeTogai, delimiter: str, given_as: str) -> None:
    Path("a.csv").write_text(WHOLE.replace(",", delimiter))

    assert send("a.csv", "--delimiter", given_as).exit_code == 0
    assert accounts(togai) == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "delimiter", "why"),
    [
        (
            "a.csv",
            ";",
            "its columns are separated by semicolons, not by commas: send it with --delimiter ';'",
        ),
        ("a.csv", "\t", "its columns are separated by tabs, not by commas: send it with --delimiter tab"),
        ("a.csv", "|", "its columns are separated by vertical bars, not by commas"),
        ("a.tsv", ",", "its columns are separated by commas, not by tabs: send it with --delimiter ','"),
        ("a.TSV.gz", ";", "its columns are separated by semicolons, not by tabs"),
    ],
)
def test_what_is_separated_by_something_else_is_told_with_the_option_that_reads_it(
    name: str, delimiter: str, why: str
) -> None:
    lines = lines_of(io.BytesIO(HEADER.replace(",", delimiter).encode()), blank=True)

    with pytest.raises(BadHeader) as told:
        read_header(lines, name, {}, ignoring=False, delimiter=None)
    assert str(told.value).startswith(why)


def test_where_unknown_columns_are_ignored_one_column_is_no_table_either(send: Send) -> None:
    write("a.csv", "customer;at", f"a;{AT}")
    maps = ("schema_name==s", "account_id==a", f"timestamp=={AT}")

    result = send("a.csv", "--ignore-unknown", *(part for m in maps for part in ("--map", m)))

    assert result.exit_code == 2
    assert "its columns are separated by semicolons" in result.stderr


def test_a_delimiter_that_is_given_counts_more_than_what_seems_to_be(send: Send, togai: FakeTogai) -> None:
    write("a.csv", "sep=|", "at;of", AT)
    maps = ("schema_name==s", "account_id==a", "timestamp=at;of")

    result = send("a.csv", "--delimiter", ",", *(part for m in maps for part in ("--map", m)))

    assert result.exit_code == 0, result.output
    assert accounts(togai) == ["a"]


def test_a_name_with_semicolons_is_no_sign_of_another_delimiter() -> None:
    with pytest.raises(BadHeader, match=r"^column 'a;b' is not a field"):
        read_header(
            lines_of(io.BytesIO(f"{HEADER},a;b".encode()), blank=True),
            "a",
            {},
            ignoring=False,
            delimiter=None,
        )


@pytest.mark.parametrize("given_as", ["", ";;", '"', "\n", "tabs"])
def test_what_is_no_delimiter_is_wrong_usage(send: Send, given_as: str) -> None:
    write("a.csv", HEADER)

    result = send("a.csv", "--delimiter", given_as)

    assert result.exit_code == 2
    assert "is neither one character nor tab" in result.stderr


def test_a_delimiter_is_for_csv(send: Send) -> None:
    write("a.ndjson", "{}")

    assert "--delimiter is for CSV, and no file is CSV" in send("a.ndjson", "--delimiter", ";").stderr


@pytest.mark.parametrize(
    ("line", "delimiter"),
    [
        ("sep=;", ";"),
        ('"sep=;"', ";"),
        ("sep=\t", "\t"),
        ("sep=,", ","),
        ("sep=", None),
        ("sep=;;", None),
        ("s", None),
    ],
)
def test_a_line_for_excel_says_what_the_delimiter_is(line: str, delimiter: str | None) -> None:
    assert declared(line) == delimiter


def test_with_a_line_for_excel_lines_have_the_numbers_that_they_have_in_the_file(send: Send) -> None:
    write("a.csv", "\ufeffsep=;", HEADER.replace(",", ";"), "s;a", row().replace(",", ";"))

    result = send("a.csv", "--rejects", "bad.csv")

    assert result.stderr == "a.csv:3: has 2 columns, not 4\n"
    assert Path("bad.csv").read_text() == HEADER.replace(",", ";") + "\ns;a\n"


def test_the_same_lines_with_another_delimiter_mean_something_else(send: Send, togai: FakeTogai) -> None:
    write("a.csv", f"{HEADER},dimensions.x", f"{row()},x")
    assert send("a.csv").exit_code == 0
    write("a.csv", f"{HEADER},dimensions.x".replace(",", ";"), f"{row()},x".replace(",", ";"))

    result = send("a.csv", "--delimiter", ";")

    assert result.exit_code == 2
    assert "has been sent with another mapping, header or format" in result.stderr


@pytest.mark.parametrize("content", ['{"a": 1}\n', '[{"a": 1}]', "{\n", "[\n"])
def test_json_in_a_file_that_is_called_csv_is_told(send: Send, content: str) -> None:
    Path("a.csv").write_text(content)

    assert "Error: a.csv: holds JSON, not CSV: send it with --format ndjson" in send("a.csv").stderr


def test_which_delimiter_is_likely() -> None:
    assert why_another("a;b", "\t") == (
        "its columns are separated by semicolons, not by tabs: send it with --delimiter ';'"
    )
    assert why_another("a;b", ":") == (
        "its columns are separated by semicolons, not by ':': send it with --delimiter ';'"
    )
    assert why_another("a;b", ";") is None
    assert why_another("a", ",") is None
    assert delimiter_of("tab") == "\t"


cells = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from('\n",;|\t'), max_size=5)


@given(
    st.lists(cells, min_size=1, max_size=8),
    st.sampled_from(",;\t|"),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_what_python_s_csv_writes_is_read(notes: list[str], delimiter: str, encoding: str) -> None:
    table = io.StringIO(newline="")
    writer = csv.writer(table, delimiter=delimiter)
    writer.writerow([*HEADER.split(","), "dimensions.note", ""])
    writer.writerows(["s", "a", AT, "1", note, ""] for note in notes)
    form = LineFormat(is_csv=True, delimiter=delimiter)
    source = Input("it", None, form, stdin=io.BytesIO(table.getvalue().encode(encoding)))
    source.check()

    told = [
        fields["dimensions"].get("note", "") for _, _, fields in source.events() if isinstance(fields, dict)
    ]

    assert [each.replace("\r\n", "\n") for each in told] == notes


def test_with_a_delimiter_that_was_given_no_other_one_is_looked_for() -> None:
    lines = lines_of(io.BytesIO(HEADER.encode()), blank=True)

    with pytest.raises(BadHeader, match="is not a field of an event"):
        read_header(lines, "a.csv", {}, ignoring=False, delimiter=";")

"""What the lines of a job mean: nothing is taken for what was sent before, unless the user says so."""

from __future__ import annotations

import gzip
import json
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sending import AT, CSV_HEADER, Send, accounts, environment, line, row, write

from togai_shipper._secret import hidden
from togai_shipper.cli.send.claiming import claim_all
from togai_shipper.cli.send.inputs import Input, LineFormat
from togai_shipper.cli.send.job_record import JobRecord
from togai_shipper.cli.send.state import record_of_jobs
from togai_shipper.testing import FakeTogai

WIDE = ["--ignore-unknown", "--map", "account_id=customer", "--map", "timestamp=at"]
CALLS = [*WIDE, "--map", "attributes.n=calls", "--map", "schema_name==api_call"]
STORAGE = [*WIDE, "--map", "attributes.n=gb", "--map", "schema_name==storage"]


def billed(togai: FakeTogai) -> list[tuple[str, str, str]]:
    """Schema, account and figure of every event that is billed."""
    entries = [togai.ledger.get(each) for each in togai.ledger.ids]
    return sorted(
        (e.event["schemaName"], e.event["accountId"], e.event["attributes"][0]["value"])
        for e in entries
        if e.event and e.metered
    )


def wide(*lines: str) -> None:
    write("wide.csv", "customer,at,calls,gb", *lines)


def is_refused(result: Any) -> bool:
    """Whether it was refused, with both ways out."""
    told = " ".join(result.stderr.split())
    return bool(result.exit_code == 2 and "--job" in told and "--same-events" in told)


# --- another meaning --------------------------------------------------------------------------------------


def test_another_mapping_is_refused_and_another_job_bills_the_other_metric(
    send: Send, togai: FakeTogai
) -> None:
    wide(f"acme,{AT},3,7")
    assert send("wide.csv", *CALLS).exit_code == 0

    result = send("wide.csv", *STORAGE)
    assert is_refused(result)
    assert "job 'wide.csv' has been sent with another mapping" in result.stderr
    assert send("wide.csv", *STORAGE, "--job", "wide.csv storage").exit_code == 0
    assert send("wide.csv", *CALLS).exit_code == 0
    assert billed(togai) == [("api_call", "acme", "3"), ("storage", "acme", "7")]


@pytest.mark.parametrize(
    "corrected",
    [
        ["--map", "attributes.n=gb", "--map", "schema_name==api_call"],
        ["--map", "attributes.m=calls", "--map", "schema_name==api_call"],
        ["--map", "attributes.n=calls", "--map", "schema_name==api_cal"],
        ["--map", "attributes.n=calls", "--map", "schema_name==api_call", "--map", "dimensions.gb=gb"],
        ["--map", "attributes.n=calls", "--map", "schema_name==api_call", "--map", "dimensions.r==eu"],
    ],
)
def test_each_way_to_map_otherwise_is_refused(send: Send, corrected: list[str]) -> None:
    wide(f"acme,{AT},3,7")
    assert send("wide.csv", *CALLS).exit_code == 0

    assert is_refused(send("wide.csv", *WIDE, *corrected))


def test_the_same_mapping_in_another_order_is_the_same(send: Send, togai: FakeTogai) -> None:
    wide(f"acme,{AT},3,7")
    pairs = [CALLS[at : at + 2] for at in range(1, len(CALLS), 2)]
    assert send("wide.csv", *CALLS).exit_code == 0

    turned = [part for pair in reversed(pairs) for part in pair]
    assert send("wide.csv", "--ignore-unknown", *turned).exit_code == 0
    assert togai.ledger.metered == 1


def test_a_header_with_other_names_for_the_same_cells_is_refused(send: Send) -> None:
    header = "schema_name,account_id,timestamp,attributes.calls,attributes.gb"
    write("a.csv", header, f"s,acme,{AT},3,7")
    assert send("a.csv").exit_code == 0

    write("a.csv", "schema_name,account_id,timestamp,attributes.gb,attributes.calls", f"s,acme,{AT},3,7")
    assert is_refused(send("a.csv"))
    write("a.csv", header.replace(".calls", ".count"), f"s,acme,{AT},3,7")
    assert is_refused(send("a.csv"))


def test_the_names_of_a_used_and_an_unused_column_exchanged_are_refused(send: Send) -> None:
    wide(f"acme,{AT},3,7")
    assert send("wide.csv", *CALLS).exit_code == 0

    write("wide.csv", "customer,at,gb,calls", f"acme,{AT},3,7")
    assert is_refused(send("wide.csv", *CALLS))


def test_a_column_that_means_nothing_may_come_go_and_change_its_name(send: Send, togai: FakeTogai) -> None:
    wide(f"acme,{AT},3,7")
    assert send("wide.csv", *CALLS).exit_code == 0

    write("wide.csv", "customer,at,calls,tb", f"acme,{AT},3,7", f"acme,{AT},4,7")
    assert send("wide.csv", *CALLS).exit_code == 0
    write("wide.csv", "note,customer,at,calls,gb", f"x,b,{AT},5,7")
    assert send("wide.csv", *CALLS).exit_code == 0
    assert [figure for _, _, figure in billed(togai)] == ["3", "4", "5"]


def test_same_events_keeps_the_ids_and_bills_what_togai_rejected(send: Send, togai: FakeTogai) -> None:
    togai.poison(lambda event: event["accountId"] == "b" and event["schemaName"] == "api_cal", 400, "no")
    wide(f"a,{AT},1,1", f"b,{AT},2,2")
    wrong = [*WIDE, "--map", "attributes.n=calls", "--map", "schema_name==api_cal"]
    assert send("wide.csv", *wrong).exit_code == 1
    assert is_refused(send("wide.csv", *CALLS))

    assert send("wide.csv", *CALLS, "--same-events").exit_code == 0

    assert billed(togai) == [("api_cal", "a", "1"), ("api_call", "b", "2")]
    assert send("wide.csv", *CALLS).exit_code == 0, "this is what the lines mean now"
    assert is_refused(send("wide.csv", *wrong))


def test_where_every_line_was_bad_the_mapping_may_be_corrected(send: Send, togai: FakeTogai) -> None:
    wide(f"acme,{AT},3,7")
    wrong = [
        *("--ignore-unknown", "--map", "account_id=customer", "--map", "timestamp=gb"),
        *("--map", "attributes.n=calls", "--map", "schema_name==api_call"),
    ]
    assert send("wide.csv", *wrong).exit_code == 1

    assert send("wide.csv", *CALLS).exit_code == 0
    assert togai.ledger.metered == 1


def test_a_dry_run_is_no_run(send: Send, togai: FakeTogai) -> None:
    wide(f"acme,{AT},3,7")
    assert send("wide.csv", *CALLS, "--dry-run").exit_code == 0

    assert send("wide.csv", *STORAGE).exit_code == 0
    assert togai.ledger.metered == 1


def test_what_comes_by_a_pipe_has_a_meaning_too(send: Send, togai: FakeTogai) -> None:
    text = f"customer,at,calls,gb\nacme,{AT},3,7\n"
    form = ("--format", "csv", "--job", "wide.csv")
    assert send("-", *form, *CALLS, stdin=text).exit_code == 0

    assert is_refused(send("-", *form, *STORAGE, stdin=text))
    Path("wide.csv").write_text(text)
    assert is_refused(send("wide.csv", *STORAGE))
    assert send("wide.csv", *CALLS).exit_code == 0
    assert togai.ledger.metered == 1


def test_files_of_one_job_may_have_other_columns(send: Send, togai: FakeTogai) -> None:
    write("a.csv", CSV_HEADER.strip(), row("a"))
    write("b.csv", "account_id,schema_name,timestamp", f"b,s,{AT}")
    write("c.ndjson", line("c"))

    for files in (("a.csv", "b.csv", "c.ndjson"), ("b.csv",), ("c.ndjson", "a.csv")):
        assert send(*files, "--job", "all").exit_code == 0
    assert accounts(togai) == ["a", "b", "c"]


def test_each_key_has_a_record_of_its_own(send: Send, togai: FakeTogai) -> None:
    wide(f"acme,{AT},3,7")
    assert send("wide.csv", *CALLS).exit_code == 0

    assert send("wide.csv", *STORAGE, TOGAI_API_KEY="other").exit_code == 1  # it is refused by Togai


# --- another file -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("job", [(), ("--job", "all")])
@pytest.mark.parametrize("packed", ["", "packed"])
def test_an_equal_line_of_another_file_is_refused_before_anything_is_sent(
    send: Send, togai: FakeTogai, job: tuple[str, ...], packed: str
) -> None:
    write("eu/a.ndjson", line("x"), line("same"))
    other = write("us/a.ndjson", line("y"), "garbage", line("same"))
    if packed:
        Path("us/a.ndjson.gz").write_bytes(gzip.compress(other.read_bytes()))
        other = Path("us/a.ndjson.gz")
    assert send("eu/a.ndjson", *job).exit_code == 0

    result = send(str(other), *job)

    assert is_refused(result)
    told = result.stderr.replace("\n", "")
    assert f"{other}:3: job " in told
    assert "eu/a.ndjson" in told
    assert accounts(togai) == ["same", "x"]
    assert send(str(other), "--job", "us").exit_code == 1  # garbage
    assert accounts(togai) == ["same", "same", "x", "y"]


def test_equal_files_in_two_folders_are_two_files(send: Send, togai: FakeTogai) -> None:
    write("eu/a.csv", CSV_HEADER.strip(), row())
    write("us/a.csv", CSV_HEADER.strip(), row())
    assert send("eu/a.csv").exit_code == 0

    assert is_refused(send("us/a.csv"))
    assert send("us/a.csv", "--job", "us").exit_code == 0
    assert togai.ledger.metered == 2


def test_a_copy_is_sent_with_same_events_and_then_both_are_known(send: Send, togai: FakeTogai) -> None:
    write("x/a.ndjson", line())
    assert send("x/a.ndjson").exit_code == 0
    Path("y").mkdir()
    shutil.copy("x/a.ndjson", "y/a.ndjson")

    assert send("y/a.ndjson", "--same-events").exit_code == 0
    for name in ("x/a.ndjson", "y/a.ndjson"):
        write(name, line(), line("new"))
    assert send("x/a.ndjson").exit_code == 0
    assert is_refused(send("y/a.ndjson")), "the new line is the first file's"
    assert accounts(togai) == ["acme", "new"]


def test_files_that_were_sent_together_are_sent_together_again(send: Send, togai: FakeTogai) -> None:
    for folder in ("x", "y"):
        write(f"{folder}/a.ndjson", line(), line(folder))
    for _ in range(2):
        assert send("x/a.ndjson", "y/a.ndjson").exit_code == 0

    assert accounts(togai) == ["acme", "acme", "x", "y"]
    assert is_refused(send("y/a.ndjson")), "alone its line would have the first one's id"


def test_a_file_does_not_take_the_id_of_a_line_that_another_of_the_command_had(
    send: Send, togai: FakeTogai
) -> None:
    write("x/a.ndjson", line())
    write("y/a.ndjson", line("y"))
    assert send("x/a.ndjson", "y/a.ndjson").exit_code == 0
    write("x/a.ndjson", line("x"))
    write("y/a.ndjson", line())

    assert is_refused(send("x/a.ndjson", "y/a.ndjson"))


def test_daily_folders_are_sent_as_ever(send: Send, togai: FakeTogai) -> None:
    for day in range(1, 6):
        stamp = f"2026-01-0{day}T00:00:00Z"
        write(f"{day}/usage.csv", CSV_HEADER.strip(), f"s,a,{stamp},1", f"s,a,{stamp},1", "END OF FILE")
        assert send(f"{day}/usage.csv").exit_code == 1  # the last line
        assert send(f"{day}/usage.csv").exit_code == 1

    assert togai.ledger.metered == 10


def test_lines_that_are_no_events_or_have_ids_may_be_in_many_files(send: Send, togai: FakeTogai) -> None:
    common = ["garbage", line(timestamp="yesterday"), line(id="e-1"), line(idempotency_key="k")]
    write("1/a.ndjson", *common, line("x"))
    write("2/a.ndjson", *common, line("y"))

    for folder in "12":
        assert "refused" not in send(f"{folder}/a.ndjson").stdout
    assert accounts(togai) == ["acme", "acme", "x", "y"]


def test_rotated_files_are_sent_as_ever(send: Send, togai: FakeTogai) -> None:
    for turn in range(4):
        if turn:
            Path("usage.ndjson").rename("usage.ndjson.1")
        write("usage.ndjson", line(f"a{turn}"))
        names = ["usage.ndjson", "usage.ndjson.1"][: turn + 1]
        assert send(*names, "--job", "app").exit_code == 0

    assert accounts(togai) == ["a0", "a1", "a2", "a3"]


def test_a_file_that_is_moved_away_and_packed_is_the_same_file(send: Send, togai: FakeTogai) -> None:
    write("usage.ndjson", line("a"))
    assert send("usage.ndjson").exit_code == 0
    Path("old").mkdir()
    Path("usage.ndjson").rename("old/usage.ndjson")
    assert send("old/usage.ndjson").exit_code == 0
    Path("old/usage.ndjson.gz").write_bytes(gzip.compress(Path("old/usage.ndjson").read_bytes()))
    Path("old/usage.ndjson").unlink()
    assert send("old/usage.ndjson.gz").exit_code == 0

    assert accounts(togai) == ["a"]


@pytest.mark.parametrize("name", ["new", "usage.ndjson"])
def test_a_file_that_is_written_anew_each_hour_is_sent_as_ever(
    send: Send, togai: FakeTogai, name: str
) -> None:
    for hour in range(4):
        lines = [line(f"a{each}") for each in range(hour, hour + 3)]  # of the last three hours
        new = write(name, *lines)
        new.rename("usage.ndjson")
        assert send("usage.ndjson").exit_code == 0

    assert accounts(togai) == [f"a{each}" for each in range(6)]


def test_a_file_that_grows_is_sent_as_ever(send: Send, togai: FakeTogai) -> None:
    lines = [line(f"a{each}") for each in range(3)]
    for count in (1, 2, 3):
        write("usage.ndjson", *lines[:count])
        assert send("usage.ndjson").exit_code == 0

    assert accounts(togai) == ["a0", "a1", "a2"]


def test_a_link_that_leads_elsewhere_each_day_leads_to_other_files(send: Send, togai: FakeTogai) -> None:
    for day in "12":
        write(f"{day}/usage.ndjson", line())
    Path("current").symlink_to("1")
    assert send("current/usage.ndjson").exit_code == 0
    Path("current").unlink()
    Path("current").symlink_to("2")

    assert is_refused(send("current/usage.ndjson"))


def test_what_a_pipe_brought_may_come_from_a_file(send: Send, togai: FakeTogai) -> None:
    write("calls.ndjson", line())
    assert send("-", "--job", "calls.ndjson", stdin=line()).exit_code == 0

    assert send("calls.ndjson").exit_code == 0
    assert send("-", "--job", "calls.ndjson", stdin=line()).exit_code == 0
    assert accounts(togai) == ["acme"]


def test_what_was_bad_in_all_lines_of_one_file_may_be_corrected_though_another_was_sent(
    send: Send, togai: FakeTogai
) -> None:
    write("good.csv", CSV_HEADER.strip(), row("a"))
    write("bad.csv", CSV_HEADER.replace("account_id,timestamp", "timestamp,account_id").strip(), row("b"))
    assert send("good.csv", "bad.csv").exit_code == 1

    write("bad.csv", CSV_HEADER.strip(), row("b"))
    assert send("good.csv", "bad.csv").exit_code == 0
    assert accounts(togai) == ["a", "b"]


def test_a_bad_line_does_not_take_the_id_that_an_equal_line_of_another_file_was_sent_with(
    send: Send, togai: FakeTogai
) -> None:
    write("a.csv", CSV_HEADER.replace("\n", ",attributes.more"), row())
    write("b.csv", CSV_HEADER.strip(), row())
    assert send("a.csv", "b.csv", "--job", "j").exit_code == 1
    assert accounts(togai) == ["acme"]

    write("a.csv", CSV_HEADER.strip(), row())
    assert is_refused(send("a.csv", "--job", "j"))


# --- one file under several names -------------------------------------------------------------------------


@pytest.mark.parametrize("way", [Path.rename, Path.hardlink_to, Path.symlink_to])
@pytest.mark.parametrize("more", [[], [line("b")]], ids=["as it was", "grown"])
def test_a_file_is_not_billed_again_under_another_name(
    send: Send, togai: FakeTogai, way: Any, more: list[str]
) -> None:
    write("a.ndjson", line("a"))
    assert send("a.ndjson").exit_code == 0
    with Path("a.ndjson").open("a") as file:
        file.writelines(f"{each}\n" for each in more)
    way(*(Path("a.ndjson"), "new.ndjson") if way is Path.rename else (Path("new.ndjson"), "a.ndjson"))

    refused = send("new.ndjson", "--same-events")
    assert refused.exit_code == 2
    assert "has been sent as job 'a.ndjson'" in " ".join(refused.stderr.split())
    assert send("new.ndjson", "--job", "a.ndjson").exit_code == 0
    assert accounts(togai) == ["a", *["b"][: len(more)]]

    assert send("new.ndjson", "--job", "new.ndjson").exit_code == 0  # it is what was asked for
    assert len(accounts(togai)) == 2 * len(["a", *more])


def test_a_file_that_was_sent_under_a_job_s_name_is_not_billed_again_without_it(
    send: Send, togai: FakeTogai
) -> None:
    write("a.ndjson", line("a"))
    assert send("a.ndjson", "--job", "january").exit_code == 0

    assert send("a.ndjson").exit_code == 2
    assert accounts(togai) == ["a"]


def test_a_file_of_another_name_is_sent_if_its_lines_have_ids_or_mean_something_else(
    send: Send, togai: FakeTogai
) -> None:
    write("a.ndjson", line("a", id="1"), line("b", idempotency_key="2"))
    assert send("a.ndjson").exit_code == 0
    Path("a.ndjson").rename("b.ndjson")
    assert send("b.ndjson").exit_code == 0
    assert accounts(togai) == ["a", "b"]

    wide(f"acme,{AT},3,7")
    assert send("wide.csv", *CALLS).exit_code == 0
    Path("gb.csv").symlink_to("wide.csv")
    assert send("gb.csv", *STORAGE).exit_code == 0
    assert len(accounts(togai)) == 4


def test_a_new_file_with_the_number_or_the_path_of_one_that_was_sent_is_another_file(
    send: Send, togai: FakeTogai
) -> None:
    write("a.ndjson", line("a"))
    assert send("a.ndjson").exit_code == 0
    write("a.ndjson", line("b"))  # in its place: Python does not give it a new number
    Path("a.ndjson").rename("b.ndjson")
    assert send("b.ndjson").exit_code == 0

    Path("b.ndjson").unlink()
    write("b.ndjson", line("c"))
    Path("c.ndjson").symlink_to("b.ndjson")
    assert send("c.ndjson").exit_code == 0
    assert accounts(togai) == ["a", "b", "c"]


def test_a_run_that_was_killed_has_taken_the_ids_of_its_lines(
    send: Send, togai: FakeTogai, tmp_path: Path
) -> None:
    write("eu/a.ndjson", line())
    write("us/a.ndjson", line())
    command = [sys.executable, "-m", "togai_shipper", "send", "--no-spool", "--job", "all", "eu/a.ndjson"]
    variables = {**environment(togai), "XDG_STATE_HOME": str(tmp_path / "state")}
    reading, writing = os.pipe()
    os.write(writing, f"{line('b')}\n".encode())  # it waits for one line of each input, and then for more
    with subprocess.Popen(
        [*command, f"/dev/fd/{reading}"], pass_fds=[reading], env={**os.environ, **variables}
    ) as process:
        togai.wait(lambda: togai.ledger.metered == 2, 30)
        process.kill()
    os.close(reading)
    os.close(writing)

    assert is_refused(send("us/a.ndjson", "--job", "all"))
    assert send("eu/a.ndjson", "--job", "all").exit_code == 0
    assert accounts(togai) == ["acme", "b"]


def test_wrong_usage_takes_no_ids(send: Send, togai: FakeTogai) -> None:
    write("eu/a.ndjson", line())
    write("us/a.ndjson", line())
    assert send("eu/a.ndjson", "--rejects", "no/bad").exit_code == 2

    assert send("us/a.ndjson").exit_code == 0


# --- where it cannot be kept ------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["a file in its way", "no directory", "rubbish", "a link", "newer"])
def test_where_no_record_can_be_kept_it_goes_on_and_says_so_in_one_line(
    send: Send, togai: FakeTogai, tmp_path: Path, what: str
) -> None:
    write("a.ndjson", line())
    state = tmp_path / "state"
    variables = {}
    if what == "a file in its way":
        state.write_text("")
    elif what == "no directory":
        variables["XDG_STATE_HOME"] = "/proc/none"
    else:
        assert send("a.ndjson").exit_code == 0
        (record,) = state.glob("togai-shipper/jobs/*.sqlite")
        if what == "rubbish":
            record.write_bytes(b"rubbish" * 1000)
        elif what == "a link":
            record.rename(tmp_path / "elsewhere")
            record.symlink_to(tmp_path / "elsewhere")
        else:
            raw = bytearray(record.read_bytes())
            raw[60:64] = (9).to_bytes(4, "big")  # user_version
            record.write_bytes(raw)

    result = send("a.ndjson", **variables)

    assert result.exit_code == 0, result.output
    (told,) = result.stderr.splitlines()
    assert told.startswith("No record of this job can be kept (")
    assert "--spool" in told
    assert "XDG_STATE_HOME" in told
    assert accounts(togai) == ["acme"]


def test_without_a_home_it_goes_on_and_says_so(send: Send, togai: FakeTogai) -> None:
    write("a.ndjson", line())
    homeless = {"HOME": "~", "XDG_STATE_HOME": ""}  # what is left where passwd knows nothing either

    sent, shown = send("a.ndjson", spool=True, **homeless), send("--jobs", **homeless)

    assert sent.exit_code == 0
    (told,) = sent.stderr.splitlines()
    assert "no home directory, and so no spool there either" in told
    assert accounts(togai) == ["acme"]
    assert shown.exit_code == 1
    assert "no home directory" in shown.stderr


def test_where_the_disk_is_full_at_the_end_it_says_so(send: Send, togai: FakeTogai, tmp_path: Path) -> None:
    write("a.ndjson", line())
    assert send("a.ndjson").exit_code == 0
    (record,) = (tmp_path / "state").glob("togai-shipper/jobs/*.sqlite")
    write("a.ndjson", "garbage", line("b"))
    with closing(sqlite3.connect(record)) as other:
        other.execute(
            "CREATE TRIGGER full BEFORE UPDATE ON run BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
        )

    result = send("a.ndjson")

    assert result.exit_code == 1
    assert "disk is full" in result.stderr
    assert result.stdout.startswith("2 lines: 1 delivered, 1 bad (")
    assert accounts(togai) == ["acme", "b"]


def test_on_a_full_disk_it_goes_on_and_says_so(send: Send, togai: FakeTogai) -> None:
    write("a.ndjson", *[line(f"a{each}") for each in range(2000)])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, hard))
    try:
        result = send("a.ndjson")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)

    assert result.exit_code == 0
    assert result.stderr.startswith("No record of this job can be kept (")
    assert togai.ledger.metered == 2000


def test_with_a_spool_the_record_is_in_it(send: Send, togai: FakeTogai) -> None:
    wide(f"acme,{AT},3,7")
    spool = ("--spool", "kept")
    first = send("wide.csv", *CALLS, *spool, spool=True, XDG_STATE_HOME="/proc/none")
    assert first.exit_code == 0
    assert first.stderr == ""

    assert is_refused(send("wide.csv", *STORAGE, *spool, spool=True, XDG_STATE_HOME="/proc/none"))
    (record,) = Path("kept/jobs").iterdir()
    assert record.stat().st_mode & 0o777 == 0o600
    assert record.parent.stat().st_mode & 0o777 == 0o700
    assert Path("kept").stat().st_mode & 0o777 == 0o700


# --- what is shown ----------------------------------------------------------------------------------------


def test_what_was_sent_is_shown(send: Send, togai: FakeTogai) -> None:
    assert send("--jobs").stdout == "No job is known for this key and URL.\n"
    write("a.ndjson", line("a"), line("b"))
    assert send("a.ndjson").exit_code == 0
    assert send("-", "--job", "night", stdin="garbage").exit_code == 1

    first, second = send("--jobs").stdout.splitlines()
    assert first.endswith(f"  a.ndjson  ({Path('a.ndjson').resolve()})  2 lines; in all 2 delivered")
    assert second.endswith("  night  (-)  1 line; in all 0 delivered, 1 bad")

    told = json.loads(send("--jobs", "--json").stdout)
    status = Path("a.ndjson").stat()
    assert [each["job"] for each in told] == ["a.ndjson", "night"]
    assert (told[0]["lines"], told[0]["size"]) == (2, status.st_size)
    assert (told[0]["device"], told[0]["inode"]) == (str(status.st_dev), str(status.st_ino))
    assert told[1]["inode"] is None
    assert len(togai.requests) == 1


def test_a_command_that_was_killed_is_shown(send: Send, tmp_path: Path) -> None:
    write("a.ndjson", line())
    place = record_of_jobs(hidden({"XDG_STATE_HOME": str(tmp_path)}), None, None)
    source = Input("a.ndjson", Path("a.ndjson"), LineFormat(is_csv=False))
    with closing(JobRecord(place)) as record:
        claim_all(record, [(source, "a")], 1e9, job_is_named=True, same_events=False)

    result = send("--jobs", XDG_STATE_HOME=str(tmp_path), TOGAI_API_KEY="", TOGAI_BASE_URL="")
    assert "the command has not ended, or was killed" in result.stdout


def test_a_record_that_cannot_be_read_is_told(send: Send, tmp_path: Path) -> None:
    write("a.ndjson", line())
    assert send("a.ndjson").exit_code == 0
    (record,) = (tmp_path / "state").glob("togai-shipper/jobs/*.sqlite")
    record.write_bytes(b"rubbish" * 1000)

    result = send("--jobs")

    assert result.exit_code == 1
    assert result.stderr.startswith("Error: the record of jobs cannot be read: ")

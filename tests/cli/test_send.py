"""``togai-shipper send``, as a user runs it; judged by the sandbox's ledger."""

from __future__ import annotations

import gzip
import json
import os
import pty
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from sending import AT, CSV_HEADER, Send, accounts, environment, line, write

from togai_shipper import Event, Stats
from togai_shipper._secret import hidden
from togai_shipper.cli.send import summary
from togai_shipper.cli.send.inputs import Input, LineFormat
from togai_shipper.cli.send.line_ids import LineIds
from togai_shipper.cli.send.occurrences import OccurrenceCounter
from togai_shipper.cli.send.results import LISTED, LineResults, Tally
from togai_shipper.cli.send.state import default_spool
from togai_shipper.testing import FakeTogai, faults

# --- what is delivered ------------------------------------------------------------------------------------


def test_every_line_is_delivered_once(send: Send, togai: FakeTogai) -> None:
    write("a.ndjson", *[line(attributes={"count": number}) for number in range(1200)])

    result = send("a.ndjson")

    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("1,200 lines: 1,200 delivered (")
    assert result.stderr == ""
    assert togai.ledger.metered == 1200


def test_lines_go_to_togai_itself_where_the_applications_have_a_relay(send: Send, togai: FakeTogai) -> None:
    write("a.ndjson", line())

    assert send("a.ndjson", TOGAI_RELAY="redis://127.0.0.1:1").exit_code == 0
    assert togai.ledger.metered == 1


def test_beside_a_relay_it_leaves_the_drainer_its_share_of_the_quota(send: Send, togai: FakeTogai) -> None:
    write("a.ndjson", *[line(attributes={"count": number}) for number in range(500 * 12)])

    assert send("a.ndjson", TOGAI_RELAY="redis://127.0.0.1:1", TOGAI_RATE_LIMIT="").exit_code == 0
    times = [request.at for request in togai.requests]
    assert len(times) >= 12
    assert times[11] - times[0] > 0.9, "of 12 requests, 5 may go at once, and 5 a second after these"


def test_without_a_key_it_says_that_the_relay_does_not_take_the_lines(send: Send) -> None:
    write("a.ndjson", line())
    result = send("a.ndjson", TOGAI_RELAY="redis://127.0.0.1:1", TOGAI_API_KEY="")
    assert result.exit_code == 2
    assert "api_key: missing" in result.stderr
    assert "send ships to Togai itself" in result.stderr
    assert "relay" not in send("a.ndjson", TOGAI_API_KEY="").stderr


def test_a_line_goes_to_togai_as_it_says(send: Send, togai: FakeTogai) -> None:
    attributes = [{"name": "n", "value": "1.50", "unit": "GB"}]
    event = {"schemaName": "s", "id": "e-1", "timestamp": AT, "accountId": "a", "attributes": attributes}
    write("a.ndjson", json.dumps({**event, "dimensions": {"region": "eu"}}))

    assert send("a.ndjson").exit_code == 0

    record = togai.ledger.get("e-1").event
    assert record == {**event, "timestamp": "2026-01-31T23:59:59.000Z", "dimensions": {"region": "eu"}}


def test_a_csv_file_is_delivered_by_its_columns_names(send: Send, togai: FakeTogai) -> None:
    Path("a.csv.gz").write_bytes(gzip.compress(f"{CSV_HEADER}api_call,acme,{AT},1\n".encode()))

    assert send("a.csv.gz").exit_code == 0
    assert accounts(togai) == ["acme"]


def test_a_csv_file_is_delivered_by_map(send: Send, togai: FakeTogai) -> None:
    write("a.txt", "customer,at,n,note", f"acme,{AT},1,x")
    maps = ("account_id=customer", "timestamp=at", "attributes.count=n", "schema_name==api_call")

    result = send(
        "a.txt", "--format", "csv", "--ignore-unknown", *(part for m in maps for part in ("--map", m))
    )

    assert result.exit_code == 0, result.output
    assert accounts(togai) == ["acme"]


@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_standard_input_is_delivered(send: Send, togai: FakeTogai, form: str) -> None:
    stdin = line() if form == "ndjson" else f"{CSV_HEADER}api_call,acme,{AT},1\n"

    result = send("-", "--job", "night", "--format", form, stdin=stdin)

    assert result.exit_code == 0, result.output
    assert accounts(togai) == ["acme"]


def test_whatever_befalls_a_request_every_line_is_billed_once(send: Send, togai: FakeTogai) -> None:
    togai.script(faults.Refuse(503, ingest="all"), faults.Reset(ingest="half"), faults.Refuse(429))
    write("a.ndjson", *[line(f"a{number}") for number in range(1000)])

    result = send("a.ndjson", TOGAI_CLOSE_TIMEOUT="0")  # it does not leave the waiting to close()

    assert result.exit_code == 0, result.output
    assert len(set(accounts(togai))) == togai.ledger.metered == 1000
    assert togai.ledger.billed_twice == set()


# --- ids --------------------------------------------------------------------------------------------------


def test_sent_twice_or_in_another_order_or_packed_it_is_billed_once(send: Send, togai: FakeTogai) -> None:
    lines = [line(), line("other"), line(), line()]
    write("a.ndjson", *lines)
    assert send("a.ndjson").exit_code == 0

    write("a.ndjson", *reversed(lines), line("new"))
    assert send("a.ndjson").exit_code == 0
    Path("a.ndjson.gz").write_bytes(gzip.compress(Path("a.ndjson").read_bytes().replace(b"\n", b"\r\n")))
    assert send("a.ndjson.gz").exit_code == 0

    assert accounts(togai) == ["acme", "acme", "acme", "new", "other"]


def test_equal_lines_of_files_of_one_job_are_billed_each(send: Send, togai: FakeTogai) -> None:
    for folder in ("x", "y"):
        Path(folder).mkdir()
        write(f"{folder}/a.ndjson", line())
    write("b.ndjson", line())

    assert send("x/a.ndjson", "y/a.ndjson", "b.ndjson").exit_code == 0
    assert togai.ledger.metered == 3

    assert send("x/a.ndjson", "y/a.ndjson", "b.ndjson", "--job", "all").exit_code == 0
    assert togai.ledger.metered == 6


def test_a_line_s_own_id_or_key_counts_whatever_the_job(send: Send, togai: FakeTogai) -> None:
    write("a.ndjson", line(id="e-1"), line("b", idempotency_key="order-7"))
    write("b.csv", CSV_HEADER.replace(",account", ",id,account").strip(), f"api_call,e-1,acme,{AT},1")

    for job in ("one", "two"):
        assert send("a.ndjson", "b.csv", "--job", job).exit_code == 0

    assert accounts(togai) == ["acme", "b"]


# --- bad lines --------------------------------------------------------------------------------------------


def test_bad_lines_are_told_and_kept_and_the_others_delivered(send: Send, togai: FakeTogai) -> None:
    bad = [
        "garbage",
        line(attributes={"n": True}),
        '{"schema_name": "s", "account_id": "a"}',
        line(id="x" * 51),
    ]
    write("a.ndjson", line("a"), bad[0], bad[1], "", bad[2], line("b"), bad[3])

    result = send("a.ndjson", "--rejects", "bad.ndjson")

    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "a.ndjson:2: is not JSON: Expecting value (column 1)",
        "a.ndjson:3: attributes['n']: must be a number, not bool",
        "a.ndjson:5: timestamp: is missing",
        "a.ndjson:7: event_id: must have 1 to 50 characters, not 51 (str)",
    ]
    assert result.stdout.startswith("6 lines: 2 delivered, 4 bad (")
    assert "again" not in result.stdout
    assert Path("bad.ndjson").read_text().splitlines() == bad
    assert accounts(togai) == ["a", "b"]


def test_bad_rows_are_kept_under_their_header_and_can_be_mended_and_sent(
    send: Send, togai: FakeTogai
) -> None:
    write("a.csv", CSV_HEADER.strip(), f"s,a,{AT},1", f"s,b,{AT}", f"s,c,{AT},x")
    write("b.csv", CSV_HEADER.strip(), f"s,d,{AT},y")

    assert send("a.csv", "b.csv", "--rejects", "bad.csv").exit_code == 1
    bad = Path("bad.csv").read_text()
    assert bad == f"{CSV_HEADER}s,b,{AT}\ns,c,{AT},x\ns,d,{AT},y\n"

    Path("bad.csv").write_text(bad.replace(f"b,{AT}", f"b,{AT},1").replace("x", "2").replace("y", "3"))
    assert send("bad.csv").exit_code == 0
    assert accounts(togai) == ["a", "b", "c", "d"]


def test_a_line_that_is_too_long_is_told_and_not_kept(send: Send, togai: FakeTogai) -> None:
    write("a.ndjson", "x" * 2_000_000, line("a"))

    result = send("a.ndjson", "--rejects", "bad")

    assert (result.exit_code, result.stderr) == (1, "a.ndjson:1: has more than 1,048,576 bytes\n")
    assert Path("bad").read_bytes() == b""
    assert accounts(togai) == ["a"]


def test_a_file_that_breaks_off_is_told_and_the_next_one_delivered(send: Send, togai: FakeTogai) -> None:
    Path("a.ndjson.gz").write_bytes(gzip.compress(f"{line('a')}\n".encode())[:-4])
    write("b.ndjson", line("b"))

    result = send("a.ndjson.gz", "b.ndjson")

    assert result.exit_code == 1
    assert result.stderr.startswith("a.ndjson.gz:2: cannot be read any further: Compressed file ended")
    assert "Not everything was read.\nRun the same command again" in result.stdout
    assert accounts(togai) == ["a", "b"]


def test_a_dry_run_checks_every_line_and_sends_nothing(send: Send, togai: FakeTogai) -> None:
    write("a.ndjson", line(), line(attributes={"n": "1e3"}))

    result = send("a.ndjson", "--dry-run", "--rejects", "bad", spool=True, TOGAI_API_KEY="")

    assert result.exit_code == 1
    assert result.stderr.startswith("a.ndjson:2: attributes['n']: must be plain digits")
    assert result.stdout.startswith("2 lines: 1 good, 1 bad; nothing was sent (")
    assert Path("bad").read_text() == line(attributes={"n": "1e3"}) + "\n"
    assert not togai.requests
    assert send("bad", "--dry-run").exit_code == 1
    assert send(str(write("good", line())), "--dry-run").exit_code == 0


def test_what_togai_refuses_is_told_with_its_line_and_id(send: Send, togai: FakeTogai) -> None:
    togai.poison(lambda event: event["accountId"] == "b", 400, "no such plan")
    write("a.ndjson", line("a"), line("b"), line("c"))
    with closing(OccurrenceCounter()) as counter:
        event_id = LineIds("a.ndjson", counter).next(line("b").encode())

    result = send("a.ndjson")

    assert result.exit_code == 1
    assert result.stderr == f"a.ndjson:2: event {event_id}: refused by Togai: no such plan (HTTP 400)\n"
    assert result.stdout.startswith("3 lines: 2 delivered, 1 refused by Togai (")
    assert accounts(togai) == ["a", "c"]


# --- where it stops ---------------------------------------------------------------------------------------


def test_a_refused_key_stops_it_and_the_same_command_goes_on(send: Send, togai: FakeTogai) -> None:
    write("a.ndjson", *[line(f"a{number}") for number in range(30_000)])  # more than the buffer holds

    result = send("a.ndjson", TOGAI_API_KEY="wrong")

    assert result.exit_code == 1
    assert "Stopped, because Togai accepts nothing more: " in result.stdout
    assert "Run the same command again to continue" in result.stdout
    assert "wrong" not in result.output
    assert togai.ledger.metered == 0
    assert send("a.ndjson").exit_code == 0
    assert togai.ledger.metered == 30_000


def test_where_togai_refuses_everything_it_stops(send: Send, togai: FakeTogai) -> None:
    togai.poison(lambda event: True, 400, "no such\x1b[2J schema")
    write("a.ndjson", *[line(f"a{number}") for number in range(100)])

    result = send("a.ndjson")

    assert result.exit_code == 1
    assert "Stopped, because Togai accepts nothing more: " in result.stdout
    assert "refused by Togai: no such [2J schema (HTTP 400)\n" in result.stderr
    assert "\x1b" not in result.output


def test_where_the_last_lines_are_refused_with_the_key_it_stops_too(send: Send) -> None:
    write("a.ndjson", line())

    result = send("a.ndjson", TOGAI_API_KEY="wrong")

    assert result.exit_code == 1
    assert result.stdout.startswith("1 line: 0 delivered, 1 not delivered (")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_or_a_signal_ends_it_with_a_report_and_the_same_command_goes_on(
    togai: FakeTogai, send: Send, number: signal.Signals
) -> None:
    lines = [line(f"a{number}") for number in range(600)]
    command = [sys.executable, "-m", "togai_shipper", "send", "--no-spool", "--job", "night", "-"]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment(togai)},
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # noqa: PLW1509  ours may be ignored, as by nohup
    ) as process:
        assert process.stdin is not None
        process.stdin.write("".join(f"{each}\n" for each in lines[:500]))
        process.stdin.flush()
        togai.wait(lambda: togai.ledger.metered >= 500, 30)
        process.send_signal(number)
        out, errors = process.communicate(timeout=60)

    assert process.returncode == 1, out + errors
    assert out.startswith("500 lines: 500 delivered (")
    assert "Not everything was read.\nRun the same command again to continue" in out
    assert errors.startswith("Stopping.")
    assert "Traceback" not in errors
    assert send("-", "--job", "night", stdin="\n".join(lines)).exit_code == 0
    assert len(set(accounts(togai))) == togai.ledger.metered == 600


# --- wrong usage ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((), "Missing argument 'FILE...'"),
        (("nowhere.ndjson",), "nowhere.ndjson: No such file or directory"),
        ((".",), ".: Is a directory"),
        (("-",), "- (standard input) has no name to make ids from: give it one with --job."),
        (("-", "a.ndjson", "--job", "x"), "- (standard input) cannot be combined with files."),
        (("a.ndjson", "--null", "-"), "--null is for CSV, and no file is CSV; see --format."),
        (("a.csv", "--map", "account=x"), "Invalid value for '--map': 'account' is not a field of an event"),
        (
            ("a.csv", "--map", "dimensions.x=x"),
            "a.csv: there is no column 'x', which --map dimensions.x names",
        ),
        (("note.csv",), "note.csv: column 'note' is not a field of an event; say what it is with --map"),
        (("a.ndjson", "--rejects", "a.ndjson"), "--rejects a.ndjson: is one of the files to send."),
        (("a.ndjson", "a.csv", "--rejects", "bad"), "--rejects takes lines of one format"),
        (("a.ndjson", "--rejects", "no/bad"), "--rejects no/bad: No such file or directory"),
        (("a.ndjson", "--spool", "d"), "--spool and --no-spool exclude each other."),
        (("a.ndjson", "--base-url", "ftp://x"), "base_url: must be an http(s) URL"),
        (("a.ndjson", "--format", "xml"), "Invalid value for '--format'"),
    ],
)
def test_wrong_usage_is_exit_status_2_in_one_line_and_sends_nothing(
    send: Send, togai: FakeTogai, arguments: tuple[str, ...], why: str
) -> None:
    write("a.ndjson", line())
    write("a.csv", CSV_HEADER.strip())
    write("note.csv", CSV_HEADER.strip() + ",note")

    result = send(*arguments)

    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith(f"Error: {why}")
    assert not togai.requests
    assert Path("a.ndjson").read_text() == line() + "\n"


def test_a_missing_key_is_wrong_usage(send: Send) -> None:
    write("a.ndjson", line())

    result = send("a.ndjson", TOGAI_API_KEY="")

    assert result.exit_code == 2
    assert "api_key: missing" in result.stderr


def test_where_a_bad_line_cannot_be_kept_it_reads_no_further_and_says_so(
    send: Send, togai: FakeTogai
) -> None:
    write("a.ndjson", line("a"), "garbage", line("b"))

    result = send("a.ndjson", "--rejects", "/dev/full", TOGAI_CLOSE_TIMEOUT="0")

    why = "--rejects /dev/full cannot be written: No space left on device"
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "a.ndjson:2: is not JSON: Expecting value (column 1)",
        f"Stopping: {why}",
    ]
    assert result.stdout.startswith("2 lines: 1 delivered, 1 bad (")
    assert f"Stopped, because {why}\nRun the same command again to continue" in result.stdout
    assert accounts(togai) == ["a"]


def test_bad_lines_are_kept_for_their_owner_alone_and_through_no_link(send: Send, togai: FakeTogai) -> None:
    write("a.ndjson", "garbage")
    write("bad", "old")
    Path("bad").chmod(0o644)
    Path("link").symlink_to("bad")
    os.mkfifo("fifo")

    for name in ("link", "fifo"):
        told = send("a.ndjson", "--rejects", name)
        assert told.exit_code == 2
        assert f"Error: --rejects {name}: is " in told.stderr
    assert Path("bad").read_text() == "old\n"

    assert send("a.ndjson", "--rejects", "bad").exit_code == 1
    assert Path("bad").read_text() == "garbage\n"
    assert Path("bad").stat().st_mode & 0o777 == 0o600


def test_bad_lines_on_a_terminal_are_printable(send: Send) -> None:
    shown, terminal = pty.openpty()
    Path("a.ndjson").write_bytes(b"\x1b]0;pwned\x07\xff\n")

    assert send("a.ndjson", "--rejects", f"/dev/fd/{terminal}").exit_code == 1

    os.close(terminal)
    assert os.read(shown, 1000) == " ]0;pwned \ufffd\r\n".encode()
    os.close(shown)


# --- what is told -----------------------------------------------------------------------------------------


def test_a_program_gets_the_summary_as_json(send: Send, togai: FakeTogai) -> None:
    togai.poison(lambda event: event["accountId"] == "b", 400, "no such plan")
    write("a.ndjson", line("a"), line("b", id="e-1"), "garbage")

    result = send("a.ndjson", "--json")

    told = json.loads(result.stdout)
    assert result.exit_code == 1
    assert told.pop("seconds") >= 0
    assert told == {
        "lines": 3,
        "bad": 1,
        "unfinished": 0,
        "grown": 0,
        "delivered": 1,
        "refused": 1,
        "recovered": 0,
        "undelivered": 0,
        "complete": True,
        "stopped_by": None,
        "dry_run": False,
        "durable": False,
        "kept": 0,
        "spool": None,
        "bad_lines": [{"file": "a.ndjson", "line": 3, "reason": "is not JSON: Expecting value (column 1)"}],
        "recorded": True,
        "unfinished_lines": [],
        "grown_files": [],
        "refused_events": [
            {
                "file": "a.ndjson",
                "line": 2,
                "reason": "refused by Togai: no such plan (HTTP 400)",
                "id": "e-1",
            }
        ],
    }


def test_on_a_terminal_there_is_a_bar(send: Send) -> None:
    write("a.ndjson", line(), "garbage")

    result = send("a.ndjson", FORCE_COLOR="1", TERM="xterm", COLUMNS="80")

    assert result.exit_code == 1
    assert "a.ndjson:2: is not JSON: Expecting value (column 1)\n" in result.stderr
    assert "\x1b[" not in result.stdout


def test_the_summary_says_what_was_not_delivered() -> None:
    assert "\n".join(
        summary.lines_of(Tally(lines=1000, delivered=900, undelivered=100, complete=False, seconds=2))
    ) == (
        "1,000 lines: 900 delivered, 100 not delivered (2.0 s, 500 lines/s)\nNot everything was read.\n"
        "Run the same command again to continue: nothing is billed twice."
    )


def test_the_summary_says_why_more_is_delivered_than_there_are_lines() -> None:
    assert "\n".join(summary.lines_of(Tally(lines=10, delivered=15, recovered=5, seconds=1))) == (
        "10 lines: 15 delivered; among them 5 that an earlier run had left (1.0 s, 10 lines/s)"
    )


def test_of_very_many_problems_the_summary_keeps_the_first_and_all_are_told() -> None:
    said: list[str] = []
    results = LineResults(said.append)
    source = Input("a", None, LineFormat(is_csv=False))

    for number in range(1, LISTED + 3):
        results.note_bad(source, number, b"", "no")

    assert len(said) == results.bad == LISTED + 2
    assert len(results.bad_lines) == LISTED


def test_the_lines_of_recent_events_are_known_and_the_memory_is_bounded() -> None:
    said: list[str] = []
    results = LineResults(said.append)
    source = Input("a", None, LineFormat(is_csv=False))
    for number in range(60_000):
        results.note_accepted(f"e-{number}", source, number)

    for event_id in ("e-0", "e-30000", "e-59999"):
        results.note_refused(event_id, "no")

    assert said == [
        "event e-0: refused by Togai: no",
        "a:30000: event e-30000: refused by Togai: no",
        "a:59999: event e-59999: refused by Togai: no",
    ]
    assert results.close(Stats(), complete=True, dry_run=False, seconds=0).undelivered == 60_000


def test_the_id_of_a_refused_event_is_told_without_what_a_terminal_obeys() -> None:
    said: list[str] = []

    LineResults(said.append).note_refused(Event("s", "a", id="\x1b[2J").id, "no")

    assert said == ["event \\x1b[2J: refused by Togai: no"]


# --- the spool --------------------------------------------------------------------------------------------


def test_each_key_and_address_has_a_spool_of_its_own() -> None:
    def spool(key: str, base_url: str | None = None, **variables: str) -> str:
        return default_spool(
            hidden({"XDG_STATE_HOME": "/state", "TOGAI_API_KEY": key, **variables}), base_url
        )

    assert spool("a").startswith("/state/togai-shipper/spool/")
    assert len({spool("a"), spool("b"), spool("a", "http://localhost")}) == 3
    assert spool("a", "http://x") == spool("a", TOGAI_BASE_URL="http://x")
    assert default_spool(hidden({}), None).startswith(str(Path.home() / ".local/state/togai-shipper/spool/"))


def test_what_is_kept_on_disk_is_billed_once_though_it_is_read_again(send: Send, togai: FakeTogai) -> None:
    write("a.ndjson", *[line(f"a{number}") for number in range(1000)])
    assert send("a.ndjson", "--spool", "kept", spool=True, TOGAI_API_KEY="wrong").exit_code == 1
    assert list(Path("kept").glob("*.db"))

    result = send("a.ndjson", "--spool", "kept", spool=True)

    assert result.exit_code == 0, result.output
    assert len(set(accounts(togai))) == togai.ledger.metered == 1000
    assert togai.ledger.billed_twice == set()


def test_unless_told_otherwise_what_is_read_is_kept_in_the_user_s_state(
    send: Send, togai: FakeTogai, tmp_path: Path
) -> None:
    write("a.ndjson", line())

    assert send("a.ndjson", spool=True, XDG_STATE_HOME=str(tmp_path / "state")).exit_code == 0

    assert list((tmp_path / "state" / "togai-shipper" / "spool").iterdir())
    assert accounts(togai) == ["acme"]

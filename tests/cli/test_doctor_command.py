"""``togai-shipper doctor``, as an operator runs it."""

from __future__ import annotations

import json
from pathlib import Path

from doctored import KEY, NOW, URL, Net, fails, run

from togai_shipper.cli.doctor.server_checks import NOWHERE
from togai_shipper.cli.doctor.world import World
from togai_shipper.testing import FakeTogai


def test_where_all_is_well_it_says_so_and_never_shows_the_key(net: Net, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)

    result = run(net.world(), "--spool", tmp_path)

    assert result.exit_code == 0, result.output
    assert KEY not in result.output
    lines = result.stdout.splitlines()
    assert lines[:8] == [
        "ok    key          12 characters, from TOGAI_API_KEY",
        "ok    options      none set in the environment, none refused",
        f"ok    base_url     {URL}",
        "ok    DNS          api.togai.com is 192.0.2.1",
        "ok    TCP          api.togai.com:443 accepts connections",
        f"ok    TLS          its certificate is valid for another {(4_102_444_800 - int(NOW)) // 86_400:,} d",
        "ok    server       answers (with 404, to a request without the key)",
        "ok    clock        within 1 s of the server's",
    ]
    assert lines[8].startswith(f"ok    spool        {tmp_path} can be written to")
    assert lines[-3] == "ok    packages     none with a hole that we know: requests 2.34.2, urllib3 2.8.0"
    assert lines[-1] == "All is well."
    assert net.asked == [(URL + NOWHERE, None)]


def test_what_is_wrong_is_told_with_what_to_do_and_exit_status_1(net: Net) -> None:
    result = run(net.world(connect=fails), TOGAI_API_KEY=None, TOGAI_FLUSH_INTERVALL="3")

    assert result.exit_code == 1
    assert (
        "fail  key          TOGAI_API_KEY is not set here\n                   Set TOGAI_API_KEY"
        in result.stdout
    )
    assert "warn  TOGAI_FLUSH_INTERVALL is not an option" in result.stdout
    assert "fail  TCP          api.togai.com:443: Connection refused\n" in result.stdout
    assert "\n2 failures and 2 warnings: see above what to do." in result.stdout
    assert net.asked == []


def test_a_warning_alone_is_no_failure(net: Net, tmp_path: Path) -> None:
    result = run(net.world(), "--spool", tmp_path / "spool", TOGAI_ENABLED="false")

    assert result.exit_code == 0
    assert result.stdout.endswith("1 warning: see above what to do.\n")


def test_processes_that_it_cannot_see_are_not_said_to_be_well(net: Net) -> None:
    result = run(net.world())

    assert result.exit_code == 0
    assert "warn  process      not seen: without a spool, no process says" in result.stdout
    assert "TOGAI_SPOOL=DIR, or --spool DIR" in result.stdout
    assert result.stdout.endswith(
        "1 warning: see above what to do. It has not seen how the application's processes stand.\n"
    )


def test_a_program_reads_the_same(net: Net) -> None:
    result = run(net.world(connect=fails), "--json")

    facts = json.loads(result.stdout)
    assert (result.exit_code, facts["ok"]) == (1, False)
    assert {"level": "ok", "name": "base_url", "found": URL, "advice": ""} in facts["checks"]
    assert KEY not in result.output


def test_a_key_in_the_place_of_the_host_is_not_shown(net: Net) -> None:
    def unknown(_host: str, _port: int) -> list[str]:
        raise OSError(0, "Name or service not known")

    for world in (net.world(), net.world(addresses=unknown)):
        result = run(world, TOGAI_BASE_URL="https://sk-live-51SECRET")

        assert "a host of 16 characters without a dot" in result.output
        assert "51secret" not in result.output.lower()


def test_no_request_is_made_where_none_is_wanted(net: Net) -> None:
    assert "TCP" in run(net.world(), "--no-request").stdout
    assert net.asked == []
    assert run(net.world(), "--no-request", "--check-key").exit_code == 2


def test_the_key_is_checked_on_request_alone_and_only_where_it_can_be_one(net: Net) -> None:
    run(net.world(), "--check-key")
    run(net.world(), "--check-key", TOGAI_API_KEY="two words")

    assert net.asked == [(f"{URL}/events?pageSize=1", KEY), (URL + NOWHERE, None)]


def test_a_server_that_is_refused_as_base_url_is_not_asked(net: Net) -> None:
    result = run(net.world(), "--check-key", "--base-url", "http://togai.example", TOGAI_BATCH_SIZE="0")

    assert "fail  base_url     'http://togai.example' would send the key unencrypted" in result.stdout
    assert "fail  TOGAI_BATCH_SIZE must be a whole number" in result.stdout
    assert net.asked == []
    assert "fail  TOGAI_BASE_URL must be" in run(net.world(), TOGAI_BASE_URL="ftp://x").stdout


def test_it_asks_a_real_server_and_no_netrc_gives_it_a_key(tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password b\n")
    with FakeTogai(KEY, unknown_event=200) as togai:
        result = run(
            World(),
            "--check-key",
            TOGAI_BASE_URL=togai.url,
            NETRC=str(tmp_path / "netrc"),
            HTTP_PROXY="http://x",
        )
        assert "ok    key check    Togai accepts the key" in result.stdout, result.stdout
        assert "ok    TLS          none: plain http" in result.stdout
        assert "ok    clock        within" in result.stdout

        result = run(World(), "--check-key", TOGAI_BASE_URL=togai.url, TOGAI_API_KEY="wrong")
        assert "fail  key check    Togai refuses the key (401)" in result.stdout

        result = run(World(), TOGAI_BASE_URL=togai.url)
        assert "ok    server       answers (with" in result.stdout

    result = run(World(), TOGAI_BASE_URL=togai.url)
    assert f"fail  TCP          127.0.0.1:{togai.port}: Connection refused" in result.stdout

"""Which of the packages that are installed the doctor warns about."""

from __future__ import annotations

from pathlib import Path

import pytest
from doctored import Net, run

from togai_shipper.cli.doctor.check import Check
from togai_shipper.cli.doctor.package_checks import FLOORS, hole, packages
from togai_shipper.cli.doctor.world import installed


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("requests", "2.32.3"),
        ("requests", "2.32"),
        ("requests", "2.33.0rc1"),
        ("requests", "2.33.0.dev0"),
        ("urllib3", "1.26.20"),
        ("urllib3", "2.6.3"),
        ("urllib3", "2.6.3+local"),
        ("idna", "3.9"),
        ("click", "8.2.1"),
        ("starlette", "0.49.1"),
        ("h11", "0.14.0"),
    ],
)
def test_a_version_with_a_published_hole_is_a_warning_with_what_to_do(name: str, version: str) -> None:
    warning = hole(name, version)

    assert warning is not None
    assert (warning.level, warning.name) == ("warn", name)
    assert warning.found.startswith(f"{version} has published security holes (CVE-")
    assert warning.advice.startswith(f"Update it to {FLOORS[name].version} or newer")


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("requests", "2.33"),
        ("requests", "2.33.0"),
        ("requests", "2.33.0.post1"),
        ("requests", "2.100.0"),
        ("urllib3", "2.7.0"),
        ("urllib3", "2.7.1rc1"),
        ("urllib3", "10.0"),
        ("idna", "3.15"),
        ("h11", "0.16"),
        ("starlette", "1.10.0"),
        ("attrs", "0.1"),
        ("urllib3", "unknown"),
        ("urllib3", ""),
        ("urllib3", "9" * 5000),
    ],
)
def test_a_version_without_one_or_that_is_none_is_not(name: str, version: str) -> None:
    assert hole(name, version) is None


def test_all_that_are_installed_are_looked_at_and_no_others() -> None:
    found = list(packages({"urllib3": "1.26.20", "requests": "2.31.0", "h11": "0.16.0"}.get))

    assert [(check.level, check.name) for check in found] == [("warn", "requests"), ("warn", "urllib3")]
    assert list(packages(lambda name: None)) == [Check("ok", "packages", "none with a hole that we know: ")]


def test_what_is_installed_is_read_and_what_is_not_is_none() -> None:
    assert installed("requests")
    assert installed("no-such-package-of-ours") is None


def test_damaged_metadata_is_no_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "damaged_package-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_bytes(b"Version: \xff\n")
    monkeypatch.syspath_prepend(tmp_path)

    assert installed("damaged-package") is None


def test_a_hole_is_a_warning_and_no_failure(net: Net, tmp_path: Path) -> None:
    result = run(net.world(installed={"urllib3": "1.26.20"}.get), "--spool", tmp_path / "spool")

    assert result.exit_code == 0
    assert "warn  urllib3      1.26.20 has published security holes (CVE-" in result.stdout
    assert result.stdout.endswith("1 warning: see above what to do.\n")

"""SECURITY.md is true of what the package asks for, and of what the doctor warns of."""

from __future__ import annotations

import re
from pathlib import Path

from togai_shipper.cli.doctor.package_checks import FLOORS, hole

ROOT = Path(__file__).parent.parent
POLICY = (ROOT / "SECURITY.md").read_text("utf-8")
FIGURE = (ROOT / "docs" / "figures" / "trust-boundaries.mmd").read_text("utf-8")
PROJECT = (ROOT / "pyproject.toml").read_text("utf-8")


def asked_for(key: str) -> dict[str, str]:
    """What a list of dependencies in pyproject.toml asks for: the names, and from which version on."""
    [listed] = re.findall(rf"^{key} = \[(.*)\]$", PROJECT, re.MULTILINE)
    return dict(re.findall(r'"([\w-]+)>=([\d.]+)"', listed))


def test_the_table_of_packages_is_the_doctors() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([\d.]+) \| (CVE-[^|]+) \| \S", POLICY, re.MULTILINE)

    assert rows == [(name, floor.version, floor.advisories) for name, floor in FLOORS.items()]


def test_the_extras_ask_for_versions_without_a_known_hole() -> None:
    extras = asked_for("sandbox") | asked_for("cli")

    assert {"starlette", "h11", "click"} <= set(extras)
    assert [name for name, version in extras.items() if hole(name, version)] == []


def test_the_oldest_versions_that_are_promised_are_those_that_are_tried() -> None:
    tried = re.findall(r"^(\w+)==([\d.]+)$", (ROOT / "tests" / "floors.txt").read_text(), re.MULTILINE)
    promised = asked_for("dependencies")

    assert [name for name, _ in tried] == sorted(promised)
    assert all(version.removesuffix(".0") == promised[name] for name, version in tried)
    for name in ("requests", "urllib3"):
        assert f"`{name}` from {promised[name]}" in POLICY.replace("\n", " ")


def test_every_boundary_of_the_figure_is_in_the_table_and_no_other() -> None:
    drawn = {int(number) for number in re.findall(r'-- "(\d)', FIGURE)}
    told = [int(number) for number in re.findall(r"^\| (\d), ", POLICY, re.MULTILINE)]

    assert told == sorted(drawn) == [1, 2, 3, 4, 5, 6]
    assert "](docs/figures/trust-boundaries.svg)" in POLICY


def test_the_policy_is_found() -> None:
    assert "](SECURITY.md)" in (ROOT / "README.md").read_text("utf-8")
    assert "](explanation/security.md)" in (ROOT / "docs" / "index.md").read_text("utf-8")

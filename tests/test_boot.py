"""``_process.boot``: which start of the kernel the clock counts from."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from togai_shipper._engine.runtime import Runtime
from togai_shipper._process import boot


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    (tmp_path / "sys/kernel/random").mkdir(parents=True)
    (tmp_path / "self").mkdir()
    (tmp_path / "sys/kernel/random/boot_id").write_text("52941992-a951\n")
    return tmp_path


def shift(proc: Path, text: str) -> None:
    (proc / "self/timens_offsets").write_text(text)


def test_the_kernel_names_its_start(proc: Path) -> None:
    assert boot.boot_id(proc) == "52941992-a951"


def test_a_time_namespace_that_shifts_nothing_changes_nothing(proc: Path) -> None:
    shift(proc, "monotonic           5         0\nboottime            0         0\n")
    assert boot.boot_id(proc) == "52941992-a951"


@pytest.mark.parametrize("moved", ["boottime 7 0", "boottime 0 9"])
def test_a_time_namespace_that_shifts_the_clock_has_another_name(proc: Path, moved: str) -> None:
    shift(proc, f"monotonic 0 0\n{moved}\n")
    assert boot.boot_id(proc).startswith("52941992-a951 shifted ")


@pytest.mark.parametrize("garbage", ["", "boottime\n", "boottime a b\n"])
def test_garbage_in_the_place_of_the_shift_changes_nothing(proc: Path, garbage: str) -> None:
    shift(proc, garbage)
    assert boot.boot_id(proc) == "52941992-a951"


def test_where_nothing_names_it_there_is_no_name(tmp_path: Path) -> None:
    assert boot.boot_id(tmp_path) == ""


def test_an_empty_name_is_none(proc: Path) -> None:
    (proc / "sys/kernel/random/boot_id").write_text("\n")
    assert boot.boot_id(proc) == ""


def test_the_clock_runs_with_the_monotonic_one() -> None:
    before = boot.clock() - time.monotonic()
    assert abs(boot.clock() - time.monotonic() - before) < 10


def test_a_clock_that_is_passed_in_has_no_boot() -> None:
    assert Runtime(clock=lambda: 0.0).boot() == ""
    assert Runtime().boot() == boot.boot_id()

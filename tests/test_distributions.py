"""What is in the sdist and the wheel: no file is missing, and none is there that nobody needs."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

from togai_shipper import __version__

pytestmark = pytest.mark.processes
CHECKOUT = Path(__file__).parent.parent
NAME = f"togai_shipper-{__version__}"
MADE = {  # by setuptools: what an installer reads
    "PKG-INFO",
    "togai_shipper.egg-info/PKG-INFO",
    "togai_shipper.egg-info/SOURCES.txt",
    "togai_shipper.egg-info/dependency_links.txt",
    "togai_shipper.egg-info/entry_points.txt",
    "togai_shipper.egg-info/requires.txt",
    "togai_shipper.egg-info/top_level.txt",
}
INSTALLED = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE", "top_level.txt"}


def run(*words: str | Path, within: Path) -> str:
    done = subprocess.run([*map(str, words)], cwd=within, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def known() -> set[str]:
    """Give the names of all files of the project, as git has them, or would take them."""
    if not (CHECKOUT / ".git").exists():
        pytest.skip("this is no checkout: git does not say which files the project has")
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", within=CHECKOUT)
    return {name for name in listed.splitlines() if (CHECKOUT / name).is_file()}


@pytest.fixture(scope="module")
def built(known: set[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of an sdist and a wheel that were built from a clean copy."""
    copy, dist = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("dist")
    for name in known:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CHECKOUT / name, copy / name)
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", dist, copy, within=copy)
    return dist


def test_the_sdist_is_the_checkout_so_that_its_tests_and_pages_are_there(
    known: set[str], built: Path
) -> None:
    with tarfile.open(built / f"{NAME}.tar.gz") as sdist:
        held = {member.name.removeprefix(f"{NAME}/") for member in sdist.getmembers() if member.isfile()}

    assert held == known | MADE


def test_the_wheel_holds_each_file_of_the_package_and_nothing_else(known: set[str], built: Path) -> None:
    with zipfile.ZipFile(built / f"{NAME}-py3-none-any.whl") as wheel:
        held = set(wheel.namelist())

    package = {name for name in known if name.startswith("togai_shipper/")}
    assert held == package | {f"{NAME}.dist-info/{name}" for name in INSTALLED}


def test_an_index_takes_the_metadata_and_renders_the_readme(built: Path) -> None:
    checked = run(sys.executable, "-m", "twine", "check", "--strict", *built.iterdir(), within=built)

    assert checked.count("PASSED") == 2


def test_the_metadata_names_each_extra_and_all_of_them_at_once(built: Path) -> None:
    with zipfile.ZipFile(built / f"{NAME}-py3-none-any.whl") as wheel:
        told = HeaderParser().parsestr(wheel.read(f"{NAME}.dist-info/METADATA").decode())

    assert told["Version"] == __version__
    extras = set(told.get_all("Provides-Extra", []))
    assert {"all", "cli", "redis", "sandbox"} <= extras
    assert 'togai-shipper[cli,redis,sandbox]; extra == "all"' in told.get_all("Requires-Dist", [])
    assert told["License-Expression"] == "MIT"

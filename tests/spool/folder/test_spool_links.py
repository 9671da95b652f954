"""``spool.folder`` where links lead to the directory: another user may point his anywhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from nobody import nobody
from other_users import needs_root

from togai_shipper.spool.errors import Refused
from togai_shipper.spool.folder import Folder
from togai_shipper.spool.leading import why_led_elsewhere
from togai_shipper.spool.ownership import Refusal, Use


def linked(link: Path, to: Path | str, owner: int) -> Path:
    link.symlink_to(to)
    os.lchown(link, owner, owner)
    return link


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A directory of ours that others may enter."""
    made = tmp_path / "target"
    made.mkdir()
    made.chmod(0o755)
    return made


@needs_root
@pytest.mark.parametrize("below", ["", "spool"])
def test_another_user_s_link_to_a_directory_of_ours_is_not_followed(
    tmp_path: Path, target: Path, below: str
) -> None:
    (target / "spool").mkdir()
    (target / "spool").chmod(0o755)
    link = linked(tmp_path / "link", "target", 3000)
    place = link / below

    with pytest.raises(Refused) as refused:
        Folder(str(place)).prepare()

    assert str(refused.value) == (
        f"{place}: {link} is a link of user 3000 to a directory of user 0; name the directory itself, if it"
        " is the right one, or remove the link"
    )
    assert (target / below).stat().st_mode & 0o777 == 0o755


@needs_root
def test_a_link_behind_a_link_is_looked_at_too(tmp_path: Path, target: Path) -> None:
    inner = linked(tmp_path / "inner", target, 3000)
    outer = linked(target / "outer", "../inner", 0)

    with pytest.raises(Refused, match=f"{inner} is a link of user 3000"):
        Folder(str(outer)).prepare()


def test_our_own_link_is_followed(tmp_path: Path, target: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(target)

    Folder(str(link)).prepare()

    assert target.stat().st_mode & 0o777 == 0o700


@needs_root
def test_another_user_s_link_to_a_directory_of_his_is_followed(tmp_path: Path, target: Path) -> None:
    os.chown(target, 3000, 3000)
    link = linked(tmp_path / "link", target, 3000)

    Folder(str(link)).prepare()

    assert target.stat().st_mode & 0o777 == 0o755


@needs_root
def test_a_link_that_came_after_the_first_look_has_nothing_changed(tmp_path: Path, target: Path) -> None:
    class Exchanging(Folder):
        def use(self, *mounts: str) -> Use | Refusal:
            found = super().use(*mounts)
            if not place.is_symlink():
                place.rmdir()
                linked(place, target, 3000)
            return found

    place = tmp_path / "place"
    place.mkdir()
    place.chmod(0o755)

    with pytest.raises(Refused, match="is a link of user 3000"):
        Exchanging(str(place)).prepare()

    assert target.stat().st_mode & 0o777 == 0o755


@needs_root
def test_a_link_that_was_there_for_a_moment_has_nothing_changed(tmp_path: Path, target: Path) -> None:
    class Exchanging(Folder):
        looks = 0

        def use(self, *mounts: str) -> Use | Refusal:
            self.looks += 1
            if self.looks == 2:
                place.unlink()
                place.mkdir(0o700)
            found = super().use(*mounts)
            if self.looks == 1:
                place.rmdir()
                linked(place, target, 3000)
            return found

    place = tmp_path / "place"
    place.mkdir()
    place.chmod(0o755)

    with pytest.raises(Refused, match=f"{place}: was exchanged while it was opened"):
        Exchanging(str(place)).prepare()

    assert target.stat().st_mode & 0o777 == 0o755


@needs_root
def test_who_is_not_root_follows_another_user_s_link_above_the_directory(place_for_all: Path) -> None:
    release = place_for_all / "release"
    spool, link = release / "spool", linked(place_for_all / "current", release, 3000)
    spool.mkdir(parents=True)
    os.chown(spool, 65_534, 65_534)
    spool.chmod(0o755)

    with nobody():
        Folder(str(link / "spool")).prepare()

    assert spool.stat().st_mode & 0o777 == 0o700


@needs_root
def test_who_is_not_root_follows_no_other_user_s_link_to_a_directory_of_ours(place_for_all: Path) -> None:
    made = place_for_all / "made"
    made.mkdir()
    os.chown(made, 65_534, 65_534)
    made.chmod(0o755)
    link = linked(place_for_all / "spool", made, 3000)

    with nobody(), pytest.raises(Refused, match=f"{link} is a link of user 3000"):
        Folder(str(link)).prepare()

    assert made.stat().st_mode & 0o777 == 0o755


def test_a_relative_path_is_looked_at_from_where_we_are(
    tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(target)
    monkeypatch.chdir(tmp_path)

    assert why_led_elsewhere(Path("link")) is None

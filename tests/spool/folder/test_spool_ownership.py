"""``spool.ownership``: whose directory may be a spool, and whose files in it are taken."""

from __future__ import annotations

import stat

import pytest

from togai_shipper.spool.ownership import Place, Refusal, decide, is_mixed, why_foreign

ROOT, US, OTHER = 0, 1000, 2000
FIFO, LINK, FILE = stat.S_IFIFO | 0o600, stat.S_IFLNK | 0o777, stat.S_IFREG | 0o600


@pytest.mark.parametrize(
    ("place", "uid", "use"),
    [
        pytest.param(Place(US, 0o700), US, "as it is", id="ours alone"),
        pytest.param(Place(US, 0o755), US, "made private", id="others may look into it"),
        pytest.param(Place(US, 0o2775), US, "made private", id="our group may write"),
        pytest.param(Place(US, 0o777), US, "made private", id="everybody may write"),
        pytest.param(Place(US, 0o1777), US, "made private", id="ours, sticky"),
        pytest.param(Place(US, 0o755, is_mixed=True), US, "as it is", id="other things are looked at there"),
        pytest.param(Place(US, 0o775, is_mixed=True), US, "below", id="others have other things there"),
        pytest.param(Place(US, 0o777, is_mount=True), US, "below", id="a volume of ours, for all containers"),
        pytest.param(Place(ROOT, 0o755), ROOT, "made private", id="root's"),
        pytest.param(Place(ROOT, 0o755, is_mount=True), ROOT, "made private", id="a claim, as root"),
        pytest.param(Place(ROOT, 0o755, is_mixed=True), ROOT, "as it is", id="/var/lib, as root"),
        pytest.param(Place(ROOT, 0o777, is_mount=True), ROOT, "below", id="emptyDir, as root"),
        pytest.param(Place(ROOT, 0o2775, is_mount=True), ROOT, "below", id="fsGroup, as root"),
        pytest.param(Place(ROOT, 0o777, is_mount=True), US, "below", id="emptyDir"),
        pytest.param(Place(ROOT, 0o2775, is_mount=True), US, "below", id="fsGroup"),
        pytest.param(Place(ROOT, 0o777), US, "below", id="root's, and everybody may write"),
        pytest.param(Place(ROOT, 0o755), US, "below", id="root's, and perhaps made for us below"),
        pytest.param(Place(65_534, 0o777, is_mount=True), US, "below", id="emptyDir in a user namespace"),
        pytest.param(Place(US, 0o700), ROOT, "as it is", id="an operator drains it"),
        pytest.param(Place(US, 0o775), ROOT, "as it is", id="an operator drains an older one"),
    ],
)
def test_a_directory_is_used_so_that_one_user_alone_may_write_to_the_spool(
    place: Place, uid: int, use: str
) -> None:
    assert decide(place, uid) == use


@pytest.mark.parametrize(
    ("place", "uid", "why"),
    [
        pytest.param(Place(ROOT, 0o1777), US, "several users share it (its mode is 1777)", id="as /tmp"),
        pytest.param(Place(ROOT, 0o1777, is_mount=True), US, "several users share it", id="as /tmp, mounted"),
        pytest.param(Place(ROOT, 0o1777), ROOT, "choose a directory within it", id="as /tmp, for root"),
        pytest.param(Place(OTHER, 0o1777), US, "several users share it", id="another's, sticky"),
        pytest.param(Place(OTHER, 0o700), US, "belongs to user 2000, and we are user 1000; ", id="another's"),
        pytest.param(Place(OTHER, 0o777), US, "run as user 2000", id="another's, and everybody may write"),
        pytest.param(Place(OTHER, 0o775, is_mount=True), US, "run as user 2000", id="another's volume"),
        pytest.param(Place(OTHER, 0o777), ROOT, "nobody can have forged", id="somebody was there first"),
    ],
)
def test_a_directory_that_others_write_to_is_refused_with_what_to_do(
    place: Place, uid: int, why: str
) -> None:
    refused = decide(place, uid)

    assert isinstance(refused, Refusal)
    assert why in refused.why
    assert "; choose " in refused.why


def test_what_belongs_to_a_spool_is_known_by_its_name() -> None:
    file = "host-1-0123abcd"
    spools = [
        f"{file}.db",
        f"{file}.db-wal",
        f"{file}.lock",
        f"{file}.db.corrupt-17",
        f"{file}.db.request-0a",
    ]

    assert not is_mixed([*spools, "lost+found"])
    assert not is_mixed([])
    for other in ("notes.txt", "1000", f"{file}.lock.txt", ""):
        assert is_mixed([*spools, other])


@pytest.mark.parametrize(
    ("mode", "owner", "why"),
    [
        (FILE, US, None),
        (FILE, OTHER, "belongs to user 2000; run as user 2000"),
        (FILE, ROOT, "belongs to user 0; run as user 0"),
        (FIFO, US, "is no regular file"),
        (LINK, US, "is no regular file"),
        (stat.S_IFDIR | 0o700, US, "is no regular file"),
    ],
)
def test_only_a_regular_file_of_whom_we_trust_is_taken(mode: int, owner: int, why: str | None) -> None:
    found = why_foreign(mode, owner, {US})

    assert found is None if why is None else why in str(found)

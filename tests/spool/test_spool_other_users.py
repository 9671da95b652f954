"""A spool among several users: containers with volumes, directories of others, and what others put there."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest
import yaml
from click.testing import CliRunner
from other_users import as_user, needs_root

from togai_shipper import Event, Shipper, Stats
from togai_shipper.cli.app import cli
from togai_shipper.cli.drain import DrainPicture
from togai_shipper.spool.file import SpoolFile
from togai_shipper.spool.folder import Folder
from togai_shipper.testing import FakeTogai, faults

pytestmark = [
    pytest.mark.processes,
    needs_root,
    # A child of these tests needs none of the threads that other tests may have left running.
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]
KUBERNETES = Path(__file__).parents[2] / "docs/how-to/kubernetes.md"


@pytest.fixture
def directory(place_for_all: Path) -> Callable[..., Path]:
    def make(owner: int = 0, mode: int = 0o700, group: int = 0) -> Path:
        made = place_for_all / "spool"
        made.mkdir()
        os.chown(made, owner, group)
        made.chmod(mode)
        return made

    return make


@pytest.fixture(autouse=True)
def loaded(tmp_path: Path) -> None:
    """All that is imported late is there: the interpreter may be where other users cannot read."""
    with (
        FakeTogai(api_key="secret") as togai,
        Shipper("secret", base_url=togai.url, spool=str(tmp_path / "spool")) as shipper,
    ):
        shipper.track("api_call", "acme", {"count": 1})
    DrainPicture().draw("")


@attrs.frozen
class Seen:
    """What a process has seen of its shipper at its end."""

    delivered: int
    recovered: int
    stranded: int
    durable: bool
    is_healthy: bool
    error: str

    @classmethod
    def of(cls, text: str) -> Seen:
        assert "{" in text, text
        return cls(**json.loads(text.strip("'")))


def ship(togai: FakeTogai, spool: str, until: Callable[[Any], bool], **options: Any) -> Callable[[], str]:
    """A process that tracks one event, waits for something, and closes."""

    def run() -> str:
        shipper = Shipper("secret", base_url=togai.url, spool=spool, flush_interval=0.05, **options)
        shipper.track("api_call", "acme", {"count": 1})
        deadline = time.monotonic() + 20
        while not until(shipper.stats()) and time.monotonic() < deadline:
            shipper.flush(0.05)
            time.sleep(0.02)
        stats = shipper.stats()
        seen = Seen(
            stats.delivered,
            stats.recovered,
            stats.stranded,
            stats.durable,
            shipper.healthy,
            (stats.last_error or "").replace("'", ""),
        )
        shipper.close(5)
        return json.dumps(attrs.asdict(seen))

    return run


def leave(spool: str, base_url: str) -> Callable[[], None]:
    """A process that tracks three events, has no key to send them with, and is killed."""

    def run() -> None:
        shipper = Shipper(no_key, base_url=base_url, spool=spool)
        for _ in range(3):
            shipper.track("api_call", "acme", {"count": 1})
        assert shipper.sync(10)

    def no_key() -> str:
        raise LookupError

    return run


def put_file(spool: Path, base_url: str, owner: int) -> Path:
    with tempfile.TemporaryDirectory() as apart:
        _fill(Path(apart, "host-1-deadbeef.db"), base_url)
        for each in Path(apart).iterdir():
            shutil.move(each, spool)
            os.chown(spool / each.name, owner, owner)
    return spool / "host-1-deadbeef.db"


def _fill(path: Path, base_url: str) -> None:
    file = SpoolFile.create(path, {"base_url": base_url})
    bodies = [Event("api_call", "victim", {"count": 1}, id=f"forged-{n}").encode() for n in range(5)]
    now = int(time.time() * 1000)
    file.append([(now, True, body) for body in bodies])
    file.close()


def drain(togai: FakeTogai, spool: Path, *, close_timeout: str = "20") -> tuple[int, str]:
    """The exit status, and the last line."""
    environment = {
        "TOGAI_API_KEY": "secret",
        "TOGAI_BASE_URL": togai.url,
        "TOGAI_CLOSE_TIMEOUT": close_timeout,
    }
    is_down = togai.on_request is not None
    arguments = ["drain", *([] if is_down else ["--once"]), str(spool)]
    if is_down:
        threading.Timer(3, os.kill, (os.getpid(), signal.SIGTERM)).start()
    result = CliRunner().invoke(cli, arguments, env=environment)
    return result.exit_code, result.output.splitlines()[-1]


def manifest() -> Mapping[str, Any]:
    text = KUBERNETES.read_text("utf-8").partition("```yaml\n")[2].partition("```")[0]
    spec: Mapping[str, Any] = yaml.safe_load(text)["spec"]
    return spec


@pytest.mark.parametrize(
    ("uid", "owner", "mode", "group"),
    [
        pytest.param(0, 0, 0o777, 0, id="emptyDir, as root"),
        pytest.param(1000, 0, 0o777, 0, id="emptyDir, as another user"),
        pytest.param(0, 0, 0o755, 0, id="a claim, as root"),
        pytest.param(1000, 0, 0o2775, 2000, id="a claim with fsGroup"),
        pytest.param(0, 0, 0o2775, 2000, id="a claim with fsGroup, as root"),
        pytest.param(1000, 65_534, 0o777, 65_534, id="emptyDir in a user namespace"),
    ],
)
def test_the_manifest_works_with_every_volume_and_user(
    togai: FakeTogai, directory: Callable[..., Path], uid: int, owner: int, mode: int, group: int
) -> None:
    (container,) = manifest()["containers"]
    environment = {each["name"]: each.get("value") for each in container["env"]}
    (volume,) = container["volumeMounts"]
    spool = environment["TOGAI_SPOOL"]
    assert volume["mountPath"] == spool
    disk = directory(owner, mode, group)
    (disk / "lost+found").mkdir(0o700)
    groups = [group] if group == 2000 else []

    first = as_user(uid, leave(spool, togai.url), groups=groups, volumes={spool: disk})
    second = Seen.of(
        as_user(
            uid,
            ship(togai, spool, lambda stats: stats.delivered == 4),
            groups=groups,
            volumes={spool: disk},
        )
    )

    assert first == "None"
    assert second == Seen(4, 3, 0, durable=True, is_healthy=True, error="")
    assert togai.ledger.metered == 4
    ours = disk / str(uid) if mode & 0o022 else disk
    assert (ours.stat().st_mode & 0o777, ours.stat().st_uid) == (0o700, uid)


def test_what_lies_in_a_shared_directory_from_before_is_adopted(
    togai: FakeTogai, directory: Callable[..., Path]
) -> None:
    spool = directory(0, 0o777)
    put_file(spool, togai.url, 1000)

    seen = Seen.of(as_user(1000, ship(togai, str(spool), lambda stats: stats.delivered == 6)))

    assert (seen.delivered, seen.recovered, seen.is_healthy) == (6, 5, True)
    assert [path.name for path in spool.iterdir()] == ["1000"]


def test_what_others_put_there_is_not_sent_but_told(togai: FakeTogai, directory: Callable[..., Path]) -> None:
    spool = directory(0, 0o777)
    forged = put_file(spool, togai.url, 3000)

    seen = Seen.of(as_user(1000, ship(togai, str(spool), lambda stats: stats.stranded and stats.delivered)))

    assert (seen.delivered, seen.recovered, seen.stranded, seen.is_healthy) == (1, 0, 1, False)
    assert seen.durable
    assert str(forged) in seen.error
    assert togai.ledger.metered == 1


def test_a_wal_of_others_beside_a_file_of_ours_is_not_read(
    togai: FakeTogai, directory: Callable[..., Path]
) -> None:
    spool = directory(0, 0o777)
    path = put_file(spool, togai.url, 1000)
    Path(f"{path}-wal").write_bytes(b"forged")
    os.chown(f"{path}-wal", 3000, 3000)

    seen = Seen.of(as_user(1000, ship(togai, str(spool), lambda stats: stats.stranded and stats.delivered)))

    assert (seen.delivered, seen.stranded) == (1, 1)
    assert path.exists()


def test_a_container_that_is_no_longer_root_s_tells_what_root_has_left(
    togai: FakeTogai, directory: Callable[..., Path]
) -> None:
    spool = directory(0, 0o777)
    path = put_file(spool, togai.url, 0)

    seen = Seen.of(as_user(1000, ship(togai, str(spool), lambda stats: stats.stranded and stats.delivered)))
    assert (seen.delivered, seen.stranded, seen.is_healthy, seen.durable) == (1, 1, False, True)

    listed = as_user(1000, lambda: CliRunner().invoke(cli, ["spool", "ls", str(spool)]).output)
    assert f"{path.name}: belongs to user 0; run as user 0" in listed
    seen = Seen.of(as_user(0, ship(togai, str(spool), lambda stats: stats.delivered == 6)))
    assert (seen.recovered, seen.is_healthy) == (5, True)


@pytest.mark.parametrize(
    ("owner", "mode", "uid"),
    [
        pytest.param(0, 0o1777, 1000, id="as /tmp"),
        pytest.param(0, 0o1777, 0, id="as /tmp, for root"),
        pytest.param(2000, 0o755, 1000, id="another user's"),
        pytest.param(2000, 0o777, 1000, id="another user's, and everybody may write"),
        pytest.param(2000, 0o777, 0, id="another user's, and everybody may write, for root"),
        pytest.param(0, 0o755, 1000, id="root's"),
    ],
)
def test_where_a_directory_is_refused_events_go_on_from_memory(
    togai: FakeTogai, directory: Callable[..., Path], owner: int, mode: int, uid: int
) -> None:
    spool = directory(owner, mode)
    path = put_file(spool, togai.url, owner)

    seen = Seen.of(as_user(uid, ship(togai, str(spool), lambda stats: stats.stranded and stats.delivered)))

    assert (seen.delivered, seen.recovered, seen.durable, seen.is_healthy) == (1, 0, False, False)
    assert seen.stranded == (5 if uid == owner else 1)
    assert "the spool does not work, events are kept in memory alone" in seen.error
    assert togai.ledger.metered == 1
    assert path.exists()
    assert not any(each.is_dir() for each in spool.iterdir())
    assert spool.stat().st_mode & 0o7777 == mode


def test_root_drains_what_users_have_left_in_a_shared_directory(
    togai: FakeTogai, directory: Callable[..., Path]
) -> None:
    spool = directory(0, 0o777)
    for uid in (1000, 2000):
        assert as_user(uid, leave(str(spool), togai.url)) == "None"

    assert as_user(0, lambda: drain(togai, spool)) == "(0, '6 delivered, 0 waiting.')"
    assert togai.ledger.metered == 6
    assert spool.stat().st_mode & 0o777 == 0o777


def test_what_root_cannot_drain_in_a_shared_directory_is_left_to_each_user(
    togai: FakeTogai, directory: Callable[..., Path]
) -> None:
    spool = directory(0, 0o777)
    assert as_user(1000, leave(str(spool), togai.url)) == "None"
    togai.on_request = lambda _: faults.Refuse(503)
    assert "3 waiting" in as_user(0, lambda: drain(togai, spool, close_timeout="1"))
    togai.on_request = None

    seen = Seen.of(as_user(1000, ship(togai, str(spool), lambda stats: stats.delivered == 4)))

    assert (seen.recovered, seen.stranded, seen.is_healthy) == (3, 0, True)
    assert togai.ledger.metered == 4


def test_what_another_user_cannot_drain_is_told(togai: FakeTogai, directory: Callable[..., Path]) -> None:
    spool = directory(0, 0o777)
    assert as_user(1000, leave(str(spool), togai.url)) == "None"

    assert (
        as_user(2000, lambda: drain(togai, spool))
        == "(1, '0 delivered, 0 waiting, 1 file that cannot be read.')"
    )
    listed = as_user(2000, lambda: CliRunner().invoke(cli, ["spool", "ls", str(spool)]).output)
    assert f"{spool}/1000 is the spool of user 1000: look into it as that user, or as root." in listed


def test_what_root_cannot_drain_is_left_to_the_directory_s_owner(
    togai: FakeTogai, directory: Callable[..., Path]
) -> None:
    spool = directory(1000, 0o700, 1000)
    assert as_user(1000, leave(str(spool), togai.url)) == "None"
    assert as_user(0, leave(str(spool), togai.url)) == "None"
    assert {path.stat().st_uid for path in spool.iterdir()} == {1000}

    def is_all(stats: Stats) -> bool:
        return stats.recovered >= 6 and not stats.pending  # more, where root was killed as it took some over

    seen = Seen.of(as_user(1000, ship(togai, str(spool), is_all)))

    assert (seen.stranded, seen.is_healthy) == (0, True)
    assert togai.ledger.metered == 7


def test_a_directory_of_another_s_in_the_place_of_ours_is_refused(
    togai: FakeTogai, directory: Callable[..., Path]
) -> None:
    spool = directory(0, 0o777)
    (spool / "1000").symlink_to(spool.parent)

    seen = Seen.of(as_user(1000, ship(togai, str(spool), lambda stats: stats.delivered)))

    assert (seen.delivered, seen.durable, seen.is_healthy) == (1, False, False)


def test_a_directory_that_nobody_but_another_may_read_is_told_with_who_may(
    directory: Callable[..., Path],
) -> None:
    spool = directory(2000, 0o700)

    told = as_user(1000, lambda: CliRunner().invoke(cli, ["spool", "ls", str(spool)]).output)

    assert "it belongs to user 2000; run as user 2000" in told


def test_a_directory_is_not_drained_by_root_where_everybody_may_write_to_it(
    togai: FakeTogai, directory: Callable[..., Path]
) -> None:
    spool = directory(2000, 0o777)
    put_file(spool, togai.url, 2000)

    status, line = drain(togai, spool)

    assert status == 1
    assert "belongs to user 2000, and everybody may write to it" in line
    assert Folder(str(spool)).paths() == []

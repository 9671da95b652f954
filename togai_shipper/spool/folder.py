"""A spool's directory: whether it can be one, what lies in it, and what of that is ours to take.

Each process has a file of its own, ``<host>-<pid>-<random>.db``, and a lock beside it (``claims``). Where
several users may write to the directory, each uses a directory of its own in it, named for its uid.
"""

from __future__ import annotations

import os
import re
import socket
import stat
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from itertools import islice
from operator import attrgetter, itemgetter
from pathlib import Path

import attrs

from . import claims
from .claims import FLOCK, SUFFIXES, Claim
from .errors import Refused, SpoolError
from .file import SpoolFile
from .filesystems import MOUNTS, filesystem_of, is_mount, is_networked, why_not_there
from .leading import why_led_elsewhere, why_no_directory
from .making import make_directory
from .opening import status_of, trusted_in
from .ownership import LOCK, OURS, OURS_OR_ASIDE, USERS, Place, Refusal, Use, decide, is_mixed, why_foreign

SMALL = (
    4 * 1024**2
)  # bytes of a file, with what SQLite makes beside it, up to which it is moved before larger ones
TRIES = 10  # names for a new file, of which somebody who cleans up may take the lock at the wrong moment


@attrs.frozen
class Left:
    """A file that is named like one of ours, and left alone; and why, in a sentence with its path."""

    path: Path
    why: str


@attrs.frozen
class Lying:
    """A file, and how much of the disk it takes with what belongs to it."""

    path: Path
    disk_bytes: int


@attrs.frozen
class Listing:
    """All that lies in the directory.

    Attributes:
        ours: every file named like one of ours and ours to take, the oldest first.
        foreign: every file that is named so, and not ours to take.
        aside: the files that were found damaged, and renamed.

    """

    ours: Sequence[Lying]
    foreign: Sequence[Left]
    aside: Sequence[Lying]


@attrs.frozen
class _Judged:
    """A thing with a name of ours; ``why`` it is not ours to take, if it is not."""

    path: Path
    status: os.stat_result
    disk_bytes: int
    why: str | None


class Folder:
    """A spool's directory.

    ``flock`` is how a question about a lock is laid out; empty where it cannot be asked.
    """

    def __init__(self, path: str, *, flock: str | None = None) -> None:
        self.given = Path(path)
        self.path = self.given  # where our own file is; ``prepare`` may find that it has to be below
        self._flock = FLOCK.get(sys.platform, "") if flock is None else flock

    # --- the directory itself ---

    def prepare(self, mounts: str = MOUNTS) -> None:
        """Make it, or make it ours alone. Raises ``SpoolError`` where it cannot be what it has to be."""
        try:
            make_directory(self.given)
        except FileExistsError:
            raise SpoolError(f"{self.given}: is a file, not a directory") from None
        except OSError as error:
            raise SpoolError(f"{self.given}: cannot be made: {error.strerror}") from error
        kind = filesystem_of(self.given, mounts)
        if is_networked(kind):
            raise SpoolError(why_not_there(self.given, kind))
        use = self.use(mounts)
        if isinstance(use, Refusal):
            raise self._refused(f"{self.given}: {use.why}")
        self.path = self.given if use != "below" else self.given / str(os.geteuid())
        if use != "as it is":
            self._make_private()
        if not os.access(self.path, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
            raise self._refused(f"{self.path}: cannot be written to")

    def use(self, mounts: str = MOUNTS) -> Use | Refusal:
        """Decide how it is used, and change nothing. Raises ``SpoolError``."""
        mixed = False
        try:
            status = self.given.stat()
            if why := why_led_elsewhere(self.given):
                return Refusal(why)
            with suppress(PermissionError):  # another user's; what lies in it changes nothing then
                mixed = is_mixed(os.listdir(self.given))  # noqa: PTH208  only the names are wanted
        except OSError as error:
            raise SpoolError(f"{self.given}: cannot be read: {error.strerror}") from error
        place = Place(status.st_uid, stat.S_IMODE(status.st_mode), is_mount(self.given, mounts), mixed)
        return decide(place, os.geteuid())

    def _make_private(self) -> None:
        """Make it, if it is not there, and let nobody else enter. Raises ``SpoolError``."""
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        if self.path != self.given:
            flags |= os.O_NOFOLLOW  # others, too, may put something there
        try:
            if self.path != self.given and (why := why_no_directory(self.path)):
                raise self._refused(why)
            make_directory(self.path)
            fd = os.open(self.path, flags)
        except OSError as error:
            made = f"{self.path}: cannot be made: {error.strerror}"  # something has come there meanwhile
            is_closed = isinstance(error, PermissionError)
            raise self._refused(f"{self.given}: cannot be written to" if is_closed else made) from error
        try:
            self._check_own(os.fstat(fd))
            os.fchmod(fd, 0o700)
        finally:
            os.close(fd)

    def _check_own(self, opened: os.stat_result) -> None:
        """Raise ``SpoolError`` where what was opened is not ours, or another user's link has led us there."""
        if self.path == self.given:
            if isinstance(again := self.use(), Refusal):
                raise self._refused(f"{self.given}: {again.why}")
            now = status_of(Path(os.path.realpath(self.given)))
            if now is None or not os.path.samestat(now, opened):
                raise self._refused(f"{self.given}: was exchanged while it was opened")
        if opened.st_uid != os.geteuid():
            raise self._refused(
                f"{self.path}: belongs to user {opened.st_uid}; remove it, or choose another directory"
            )

    def _refused(self, why: str) -> Refused:
        """Say why it is refused, with what lies there."""
        lying = {}
        with suppress(SpoolError):
            for path, status in self._named(OURS):
                lying[str(path)] = self._events_in(path, status)
        return Refused(why, lying)

    def _events_in(self, path: Path, status: os.stat_result) -> int:
        """Return how many events a file has; 1 for one that is not opened, since others may change it."""
        is_safe = status.st_uid == os.geteuid() and self.given.stat().st_uid in (0, status.st_uid)
        with suppress(SpoolError):
            if is_safe and stat.S_ISREG(status.st_mode):
                with closing(SpoolFile.peek(path)) as file:
                    return file.pending()[0]
        return 1

    def sync(self) -> None:
        """What was made or removed here survives a power cut. Raises ``SpoolError``."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
        except OSError as error:
            raise SpoolError(f"{self.path}: {error.strerror}") from error

    # --- what lies in it ---

    def paths(self) -> list[Path]:
        """Every file named like one of ours and ours to take, the oldest first. Raises ``SpoolError``."""
        return [each.path for each in self.listing().ours]

    def foreign(self) -> list[Left]:
        """Every file that is named like one of ours, and not ours to take. Raises ``SpoolError``."""
        return list(self.listing().foreign)

    def set_aside(self) -> list[Path]:
        """The files that were found damaged, and renamed. Raises ``SpoolError``."""
        return [each.path for each in self.listing().aside]

    def listing(self) -> Listing:
        """List all of these, looking at each once. Raises ``SpoolError``."""
        ours, foreign, aside = [], [], []
        for each in self._judged(OURS_OR_ASIDE):
            lying, is_aside = Lying(each.path, each.disk_bytes), OURS.fullmatch(each.path.name) is None
            if each.why is None and is_aside:
                aside.append(lying)
            elif each.why is None:
                ours.append((each.status.st_mtime, each.path.name, lying))
            elif not is_aside:
                foreign.append(Left(each.path, each.why))
        return Listing(
            [lying for _, _, lying in sorted(ours, key=itemgetter(0, 1))],
            sorted(foreign, key=attrgetter("path")),
            sorted(aside, key=attrgetter("path")),
        )

    def check_readable(self) -> None:
        """Raise ``SpoolError`` where the names in it can be read, but nothing of what they name."""
        for place in self.places():
            for name in islice(filter(OURS.fullmatch, _names(place)), 1):
                status_of(place / name)

    def others(self) -> list[Path]:
        """The directories in it that are other users' spools. Raises ``SpoolError``."""
        return sorted(path for path in self._of_users() if int(path.name) != os.geteuid())

    def _named(self, pattern: re.Pattern[str]) -> Iterator[tuple[Path, os.stat_result]]:
        """Each thing with such a name, and what the system tells of it. Raises ``SpoolError``."""
        for place in self.places():
            for name in sorted(_names(place)):
                if pattern.fullmatch(name) and (status := status_of(place / name)) is not None:
                    yield place / name, status

    def _judged(self, pattern: re.Pattern[str]) -> Iterator[_Judged]:
        """Each thing with such a name, and why it is not ours to take, as ``_why_not`` says.

        The directory is read once: what is not in it then is not looked for beside each.
        """
        for place in self.places():
            names, trusted = set(_names(place)), trusted_in(place)
            for name in sorted(filter(pattern.fullmatch, names)):
                path = place / name
                found = _statuses(each for each in _beside(path) if each.rpartition("/")[2] in names)
                if (status := found.get(str(path))) is None:
                    continue
                lock = str(claims.lock_of(path))
                size = sum(its.st_size for each, its in found.items() if each != lock)
                yield _Judged(path, status, size, self._why_none(found, trusted))

    def places(self) -> list[Path]:
        """The directories that we look into."""
        return [self.given, *(path for path in self._of_users() if int(path.name) == os.geteuid())]

    def _of_users(self) -> Iterator[Path]:
        for name in _names(self.given):
            status = status_of(self.given / name) if USERS.fullmatch(name) else None
            if status is not None and stat.S_ISDIR(status.st_mode) and status.st_uid == int(name):
                yield self.given / name

    def _why_not(self, path: Path) -> str | None:
        """Say why a file is not ours to take, with its path; ``None`` where it is."""
        return self._why_none(_statuses(_beside(path)), trusted_in(path.parent))

    def _why_none(self, found: Mapping[str, os.stat_result], trusted: Collection[int]) -> str | None:
        for each, status in found.items():
            why = why_foreign(status.st_mode, status.st_uid, trusted)
            is_ours = status.st_uid == os.geteuid()
            if why is None and not is_ours and not os.access(each, os.R_OK | os.W_OK, effective_ids=True):
                why = why_foreign(status.st_mode, status.st_uid, ())
            if why is not None:
                return f"{each}: {why}"
        return None

    # --- whose each file is ---

    def new(self, chance: Callable[[int], bytes] = os.urandom) -> Claim:
        """A file for this process, not made yet. Raises ``SpoolError``."""
        host = re.sub("[^A-Za-z0-9.]", "_", socket.gethostname()) or "host"
        for _ in range(TRIES):
            path = self.path / f"{host}-{os.getpid()}-{chance(4).hex()}.db"
            claim = claims.claim(path, being_made=True)
            if claim is not None:
                return claim
        raise SpoolError(f"{path}: its lock cannot be had")

    def orphans(self) -> Iterator[Claim | Left]:
        """Files whose process is gone, the oldest first; each is claimed for the caller, who lets it go.

        Large ones come last: while what is in them waits to be sent, a crash loop leaves more and more small
        ones. Before them come those that are not ours to take, and among them those that cannot be claimed.
        """
        ours = []
        for each in self._judged(OURS):
            if each.why:
                yield Left(each.path, each.why)
            else:
                ours.append((each.disk_bytes > SMALL, each.status.st_mtime, each.path.name, each.path))
        for path in (*self._remains(), *(path for _, _, _, path in sorted(ours))):
            try:
                claim = self._taken(path)
            except SpoolError as error:
                yield Left(path, str(error))
                continue
            found = claim and self._looked_at_again(claim)
            if found is not None:
                yield found

    def some_left(self, tries: int, fewest: int, chance: Callable[[], float]) -> Iterator[Claim]:
        """Claim small files in our directory whose process is gone, in any order; none where they are few.

        ``tries`` of the files there are looked at, which ``chance`` chooses.
        """
        names = list(filter(OURS.fullmatch, _names(self.path)))
        if len(names) <= fewest:  # ours is among them
            return
        for name in sorted(names, key=lambda _: chance())[:tries]:
            with suppress(SpoolError):
                found = self._small_left(self.path / name)
                if isinstance(found, Claim):
                    yield found

    def _small_left(self, path: Path) -> Claim | Left | None:
        if self._why_not(path) is not None or not 0 < _size_of(path) <= SMALL:
            return None
        claim = self.claim(path)
        return claim and self._looked_at_again(claim)

    def _looked_at_again(self, claim: Claim) -> Claim | Left | None:
        """Return what was claimed, unless it was exchanged, or removed, since it was listed."""
        if why := self._why_not(claim.path):
            claim.release()
            return Left(claim.path, why)
        if claim.path.exists():
            return claim
        with suppress(SpoolError):  # its process has just removed it
            claim.unlink()
        return None

    def _remains(self) -> list[Path]:
        """What is named by a lock alone: its process died while it made the file, or removed it."""
        found = [
            path.with_suffix(".db") for path, status in self._named(LOCK) if stat.S_ISREG(status.st_mode)
        ]
        return [path for path in found if not os.path.lexists(path)]

    def _taken(self, path: Path) -> Claim | None:
        """Claim a file whose process is gone; first move it to where others cannot change it meanwhile."""
        claim = claims.claim(path)
        if claim is None or self.path == self.given or path.parent != self.given or not path.exists():
            return claim
        moved = claim.move_to(self.path)
        if moved is not None and (why := self._why_not(moved.path)) is not None:
            moved.release()
            raise SpoolError(why)
        return moved

    def claim(self, path: Path) -> Claim | None:
        """This file, unless a process has it. Raises ``SpoolError``."""
        return claims.claim(path)

    def owner(self, path: Path) -> int | None:
        """Return the pid of the process that has this file, and ``None`` where nobody has it.

        0 is a process whose pid is not known: one in another container, or any but this one on a system that
        is not known to tell. Takes nothing, but that such a system is asked by sharing the lock for a moment.
        """
        return claims.owner(path, self._asked)

    def _asked(self, lock: Path) -> int | None:
        return claims.ask(lock, self._flock)


def _beside(path: Path) -> list[str]:
    """Return the paths of all that may belong to a file, itself first."""
    return [*(f"{path}{suffix}" for suffix in SUFFIXES), str(claims.lock_of(path))]


def _size_of(path: Path) -> int:
    return sum(status.st_size for status in _statuses(_beside(path)).values())


def _statuses(paths: Iterable[str]) -> dict[str, os.stat_result]:
    """Return what the system tells of those that are there."""
    return {path: status for path in paths if (status := status_of(path)) is not None}


def _names(place: Path) -> list[str]:
    try:
        return os.listdir(place)  # noqa: PTH208  only the names are wanted
    except FileNotFoundError:
        return []
    except OSError as error:
        raise SpoolError(f"{place}: cannot be read: {error.strerror}") from error

"""File systems on which a spool cannot be: where POSIX locks, or memory that processes share, do not hold."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

MOUNTS = "/proc/mounts"

# As the kernel names them. A server, other hosts, or the host beside a virtual machine change the same files:
# what one of them locks, or maps into memory, the others do not see, or see late.
SHARED = frozenset(
    (
        # servers
        *(
            "9p",
            "afs",
            "cifs",
            "coda",
            "davfs",
            "davfs2",
            "kafs",
            "ncpfs",
            "nfs",
            "nfs4",
            "smb2",
            "smb3",
            "smbfs",
        ),
        # clusters
        *("acfs", "beegfs", "ceph", "cvfs", "fhgfs", "gfs", "gfs2", "glusterfs", "gpfs", "lustre", "mmfs"),
        *("ocfs2", "orangefs", "panfs", "pvfs2", "quobyte", "snfs", "wekafs"),
        # the host of a virtual machine, or of Docker's
        *("drvfs", "fakeowner", "grpcfuse", "osxfs", "prl_fs", "prl_vtfs", "vboxsf", "virtiofs", "vmhgfs"),
    )
)
# Of FUSE, whose programs mostly stand for a server or for a store of objects, and which cannot all be known:
# the ones that keep their files on a disk of this very host.
LOCAL_FUSE = frozenset(
    (
        *("fuseblk", "fuse.bindfs", "fuse.cryfs", "fuse.encfs", "fuse.exfat", "fuse.ext2", "fuse.ext4"),
        *("fuse.fuse-overlayfs", "fuse.gocryptfs", "fuse.lxcfs", "fuse.ntfs-3g", "fuse.securefs"),
        *("fuse.unionfs-fuse", "fuse.zfs", "fuse.zfs-fuse"),
    )
)
_ESCAPED = re.compile(r"\\([0-7]{3})")


def is_networked(filesystem: str) -> bool:
    """Tell whether locks and shared memory cannot be trusted on this kind of file system."""
    kind = filesystem.lower()
    if kind in LOCAL_FUSE:
        return False
    return kind in SHARED or kind == "fuse" or kind.startswith("fuse.")


def why_not_there(path: Path, filesystem: str) -> str:
    """Say why no spool can be at ``path``, and what to do."""
    return (
        f"{path}: is on {filesystem}, a file system that other hosts may share, where locks cannot be"
        " trusted; choose a directory on a local disk (in Kubernetes an emptyDir)"
    )


def filesystem_of(path: Path, mounts: str = MOUNTS) -> str:
    """Return the kind of file system that ``path`` is on; empty where that cannot be told."""
    place, best, kind = os.path.realpath(path), "", ""
    for mounted, its_kind in _mounted(mounts):
        inside = place == mounted or place.startswith(mounted.rstrip("/") + "/")
        if mounted and inside and len(mounted) >= len(best):
            best, kind = mounted, its_kind
    return kind


def is_mount(path: Path, mounts: str = MOUNTS) -> bool:
    """Tell whether a file system, or a directory of another one, is mounted at ``path``."""
    place = os.path.realpath(path)
    return any(mounted == place for mounted, _ in _mounted(mounts))


def _mounted(mounts: str) -> Iterator[tuple[str, str]]:
    """Each place where something is mounted, and the kind of its file system."""
    try:
        lines = Path(mounts).read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return
    for line in lines:
        _, mounted, its_kind, *_ = (*line.split(" "), "", "")
        yield _ESCAPED.sub(lambda found: chr(int(found[1], 8)), mounted), its_kind

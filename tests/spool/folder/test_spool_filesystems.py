"""``spool.filesystems``: on which file systems a spool may be."""

from __future__ import annotations

from pathlib import Path

import pytest

from togai_shipper.spool.filesystems import filesystem_of, is_networked

SERVERS = "9p afs cifs nfs nfs4 smb3 smbfs fuse.sshfs fuse.gvfsd-fuse fuse.rclone fuse.davfs2 davfs"
CLUSTERS = (
    "beegfs ceph fuse.ceph-fuse fuse.glusterfs glusterfs lustre gpfs wekafs ocfs2 gfs2 orangefs pvfs2"
    " fuse.mfs"
)
HOSTS = (
    "virtiofs fuse.grpcfuse grpcfuse fakeowner osxfs fuse.osxfs vboxsf prl_fs drvfs vmhgfs fuse.vmhgfs-fuse"
)
OBJECTS = (
    "fuse.s3fs fuse.mountpoint-s3 fuse.blobfuse fuse.blobfuse2 fuse.gcsfuse fuse.goofys fuse.JuiceFS"
    " fuse.ossfs fuse.seaweedfs fuse.alluxio-fuse fuse.s3ql fuse"
)
LOCAL = (
    "ext2 ext3 ext4 xfs btrfs zfs f2fs bcachefs reiserfs jfs overlay overlayfs aufs tmpfs ramfs ecryptfs"
    " exfat vfat ntfs3 fuseblk fuse.ntfs-3g fuse.fuse-overlayfs fuse.bindfs fuse.gocryptfs apfs hfs ufs lxfs"
)


@pytest.mark.parametrize("kind", f"{SERVERS} {CLUSTERS} {HOSTS} {OBJECTS}".split())
def test_one_that_others_share_is_refused(kind: str) -> None:
    assert is_networked(kind)


def test_a_program_of_fuse_that_nobody_knows_is_refused() -> None:
    assert is_networked("fuse.of-tomorrow")


@pytest.mark.parametrize("kind", ["", *LOCAL.split()])
def test_one_of_this_host_is_taken(kind: str) -> None:
    assert not is_networked(kind)


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("/", "ext4"),
        ("/srv/data/spool", "xfs"),
        ("/srv/database", "ext4"),  # not within /srv/data
        ("/mnt/my disk/x", "nfs"),
        ("/mnt/a\\b\nc/x", "virtiofs"),
        ("/over/x", "tmpfs"),  # the later of two in one place
    ],
)
def test_the_innermost_mount_says_the_kind_of_file_system(tmp_path: Path, place: str, kind: str) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "d / ext4 rw 0 0\nd /srv/data xfs rw 0 0\nd /mnt/my\\040disk nfs rw 0 0\n"
        "d /mnt/a\\134b\\012c virtiofs rw 0 0\nd /over ext4 rw 0 0\nd /over tmpfs rw 0 0\ngarbled\n"
    )

    assert filesystem_of(Path(place), str(mounts)) == kind


def test_without_a_list_of_mounts_the_kind_is_not_known(tmp_path: Path) -> None:
    assert filesystem_of(tmp_path, str(tmp_path / "none")) == ""

"""File systems without room: mounted here, writable, and with next to no block or inode left."""

import argparse
import json
import os
import sys
from typing import NamedTuple

from probes import deadline, procfs
from probes.emit import open_log

_REMOTE = {"nfs", "nfs4", "cifs", "smb3", "ceph", "lustre", "beegfs", "9p", "gpfs", "afs", "glusterfs"}
_REMOTE |= {"virtiofs", "wekafs", "orangefs", "pvfs2", "daos"}
_LITTLE = 0.02  # of a file system: what is told; how little is too little, the playbook says
_LOCAL_S, _REMOTE_S = 0.3, 0.5  # a network's file system may never answer

Row = dict[str, str | int]


class Mount(NamedTuple):
    """One mounted file system."""

    point: str
    kind: str
    is_read_only: bool
    device: str = ""  # major:minor
    source: str = ""  # a device, or server:/export

    @property
    def is_remote(self) -> bool:
        return self.kind in _REMOTE or self.kind.startswith("fuse")


def parse_mounts(raw: bytes) -> list[Mount]:
    """What a `mountinfo` lists.

    >>> parse_mounts(b"41 31 7:0 / /scratch rw,relatime shared:9 - ext4 /dev/loop0 rw\\n")
    [Mount(point='/scratch', kind='ext4', is_read_only=False, device='7:0', source='/dev/loop0')]
    """
    found = []
    for line in raw.decode(errors="replace").splitlines():
        left, _, right = line.partition(" - ")
        fields, kinds = left.split(), right.split()
        if len(fields) > 5 and kinds:
            point, is_read_only = fields[4].replace("\\040", " "), "ro" in fields[5].split(",")
            found.append(Mount(point, kinds[0], is_read_only, fields[2], "".join(kinds[1:2])))
    return found


def full(mounts: list[Mount]) -> list[Row]:
    """Those with next to no room: `point`, what is `spent` (blocks or inodes), bytes `free` and `size`."""
    found: dict[str, Row] = {}
    for mount in mounts:
        try:
            now = os.statvfs(mount.point)
        except OSError:
            continue
        free, size = now.f_bavail * now.f_frsize, now.f_blocks * now.f_frsize
        spent = "blocks" if size and free <= size * _LITTLE else ""
        spent = spent or ("inodes" if now.f_files and not now.f_favail else "")
        if spent and not now.f_flag & os.ST_RDONLY:
            free = free if spent == "blocks" else 0
            found[mount.point] = {"point": mount.point, "spent": spent, "free": free, "size": size}
    return list(found.values())


def look() -> list[Row]:
    """The full ones of this machine, as far as they answer in time."""
    mounts = [one for one in parse_mounts(procfs.read("/proc/self/mountinfo") or b"") if not one.is_read_only]
    local = [one for one in mounts if not one.is_remote]
    remote = [one for one in mounts if one.is_remote]
    return within(local, _LOCAL_S) + (within(remote, _REMOTE_S) if remote else [])


def within(mounts: list[Mount], limit_s: float) -> list[Row]:
    """The full ones of these; none where they do not answer in time."""
    told = deadline.call(lambda: json.dumps(full(mounts)).encode(), limit_s)
    found: list[Row] = json.loads(told or b"[]")
    return found


def main(argv: list[str] | None = None) -> int:
    """Name the file systems that have no room left; prints an event line."""
    argparse.ArgumentParser(prog="python -m probes.disks", description=main.__doc__).parse_args(argv)
    open_log("disks").info("disks.read", full=look())
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Where control groups are mounted, and where one of them is seen below a mount."""

from typing import NamedTuple

NO_LIMIT = 1 << 60  # v1 writes "no limit" as a huge number


class Mount(NamedTuple):
    """One mounted hierarchy of control groups: which of its groups is seen at the mount point."""

    root: str
    point: str
    is_v1: bool


def parse_mounts(raw: bytes, controller: str = "memory") -> list[Mount]:
    """The hierarchies in a `mountinfo` that may have a controller, v1 first (where both do, it is v1's).

    >>> parse_mounts(b"35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\\n")
    [Mount(root='/', point='/sys/fs/cgroup/memory', is_v1=True)]
    >>> parse_mounts(b"41 31 0:38 /pod/a /sys/fs/cgroup rw shared:9 - cgroup2 cgroup rw\\n")
    [Mount(root='/pod/a', point='/sys/fs/cgroup', is_v1=False)]
    """
    found = []
    for line in raw.decode(errors="replace").splitlines():
        left, _, right = line.partition(" - ")
        fields, kinds = left.split(), right.split()
        if len(fields) < 5 or len(kinds) < 3:
            continue
        if kinds[0] == "cgroup2" or (kinds[0] == "cgroup" and controller in kinds[2].split(",")):
            root, point = (text.replace("\\040", " ") for text in fields[3:5])
            found.append(Mount(root, point, kinds[0] == "cgroup"))
    return sorted(found, key=lambda mount: not mount.is_v1)


def folder_of(name: str, mount: Mount) -> str:
    """Where a group is seen below a mount; empty where it is not: a container sees only its own part.

    >>> folder_of("/pod/a/b", Mount("/pod/a", "/sys/fs/cgroup", False))
    '/sys/fs/cgroup/b'
    >>> folder_of("/pod/c", Mount("/pod/a", "/sys/fs/cgroup", False))
    ''
    """
    root = mount.root.rstrip("/")
    is_below = (name == root or name.startswith(root + "/")) and ".." not in name.split("/")
    return (mount.point.rstrip("/") + name[len(root) :]).rstrip("/") if is_below else ""

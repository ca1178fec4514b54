"""What a drill may need of the machine. Each answer is a trial; the reason says what is missing."""

import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

TRIAL_S = 20.0
CGROUPS = (Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup"))  # v1, v2


def path() -> str:
    """Where programs are looked for: mount helpers lie where only root's shell looks."""
    return f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


def tried(*command: str) -> bool:
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=TRIAL_S, env={**os.environ, "PATH": path()}
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def root() -> str:
    return "" if os.geteuid() == 0 else "root is needed"


@cache
def memory_cgroup() -> str:
    """A memory controller in which a group can be made (v1, or v2 with the controller handed down)."""
    for top in CGROUPS:
        own = top / f"dgd-trial-{os.getpid()}"
        try:
            own.mkdir()
        except OSError:
            continue
        found = any((own / name).exists() for name in ("memory.limit_in_bytes", "memory.max"))
        own.rmdir()
        if found:
            return ""
    return "no memory cgroup can be made here"


@cache
def loop_mount() -> str:
    """A file with ext4 in it can be mounted."""
    if not shutil.which("mkfs.ext4", path=path()):
        return "mkfs.ext4 is not installed"
    with tempfile.TemporaryDirectory(prefix="dgd-") as top:
        image, folder = Path(top, "image"), Path(top, "folder")
        image.write_bytes(b"")
        os.truncate(image, 1 << 20)
        folder.mkdir()
        if not tried("mkfs.ext4", "-q", str(image)) or not tried(
            "mount", "-o", "loop", str(image), str(folder)
        ):
            return "a loop device cannot be mounted here"
        tried("umount", str(folder))
    return ""


@cache
def netns() -> str:
    """A network namespace with a link of its own can be made."""
    if not shutil.which("ip", path=path()):
        return "ip (iproute2) is not installed"
    name = f"dgd-trial-{os.getpid()}"
    try:
        made = tried("ip", "netns", "add", name) and tried(
            "ip", "-n", name, "link", "add", "dgd0", "type", "veth", "peer", "name", "dgd1"
        )
    finally:
        tried("ip", "netns", "del", name)
    return "" if made else "a network namespace cannot be made here"


FEATURES: dict[str, Callable[[], str]] = {
    feature.__name__: feature for feature in (root, memory_cgroup, loop_mount, netns)
}


def missing(need: str) -> str:
    """Why this machine lacks `need` (a feature above, `torch`, or a program); empty where it has it."""
    if need in FEATURES:
        return root() or FEATURES[need]()
    there = importlib.util.find_spec(need) if need == "torch" else shutil.which(need, path=path())
    return "" if there else f"{need} is not installed"

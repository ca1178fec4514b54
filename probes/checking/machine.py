"""What this machine has, as far as checks need to know before they are made."""

import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from probes import deadline, procfs
from probes.checking.check import Target

_GPU = re.compile(r"nvidia[0-9]+\Z")
ENV_FLAGS = ("-", "-i", "-v", "--", "--ignore-environment", "--debug")
_IMPORTS = "import importlib.util, sys; sys.exit(importlib.util.find_spec('torch') is None)"


class Machine(NamedTuple):
    """`kernel` is `gvisor` where system calls are answered by gVisor, else the system's name."""

    kernel: str
    release: str
    num_cpus: int
    num_gpus: int
    num_rdma: int


def top() -> str:
    """What stands before the host's /dev, /proc and /sys: something in a container that looks at its host."""
    return os.environ.get("DIAGNOSE_HOST_ROOT", "").rstrip("/")


def see(root: str | None = None) -> Machine:
    """Look at device nodes and the kernel's own words; nothing of the driver is asked."""
    root = top() if root is None else root
    names = os.uname()
    return Machine(
        "gvisor" if procfs.is_gvisor(root) else names.sysname.lower(),
        names.release,
        len(os.sched_getaffinity(0)),
        sum(bool(_GPU.match(name)) for name in listed(f"{root}/dev")),
        len(listed(f"{root}/sys/class/infiniband")),
    )


def listed(folder: str) -> list[str]:
    """The names in a folder; none where it cannot be read."""
    try:
        return os.listdir(folder)
    except OSError:
        return []


def missing(needs: Sequence[str], machine: Machine, target: Target) -> str:
    """Why a check with these needs cannot be made here, or nothing. Raises KeyError for other words."""
    told = {
        "gpu": "" if machine.num_gpus else "no GPU here (no /dev/nvidia0)",
        "gpus": ""
        if machine.num_gpus > 1
        else "several GPUs are needed"
        if machine.num_gpus
        else "no GPU here",
        "nodes": "" if target.num_nodes > 1 else "the job is on one node",
        "rdma": "" if machine.num_rdma else "no RDMA device here",
        "torch": "",
    }
    for need in needs:
        if told[need]:
            return told[need]
    return "" if "torch" not in needs or has_torch(target) else f"{target.python} has no torch"


_torch: dict[str, bool] = {}


def has_torch(target: Target) -> bool:
    """Asked once for each interpreter; nothing of torch is imported."""
    python = target.python
    if python not in _torch:
        _torch[python] = deadline.run([python, "-c", _IMPORTS], 10.0, target.environ).code == 0
    return _torch[python]


def program(command: Sequence[str]) -> str:
    """The word of a command that is started; empty where options of `env` hide it.

    >>> program(["env", "-i", "NCCL_ALGO=Tree", "torchrun", "a=b"]), program(["train.sh"]), program([])
    ('torchrun', 'train.sh', '')
    """
    words = list(command[:64])
    if words and os.path.basename(words[0]) == "env":
        words = words[1:]
        while words and (words[0] in ENV_FLAGS or re.match(r"[A-Za-z_]\w*=", words[0])):
            words = words[1:]
    return words[0] if words and not words[0].startswith("-") else ""


def interpreter(command: Sequence[str], environ: Mapping[str, str]) -> str:
    """The Python that a command runs in: its program, its script's first line, else the first on PATH."""
    word = program(command)
    found = which(word, environ) if word else ""
    if re.match(r"python[0-9.]*\Z", os.path.basename(found)):
        return found
    try:
        with open(found, "rb") as file:
            head = file.readline(512)
    except OSError:
        head = b""
    named = [word for word in head[2:].decode(errors="replace").split() if "python" in word]
    if head.startswith(b"#!") and named and (path := which(named[0], environ)):
        return path
    return which("python3", environ) or sys.executable


def which(word: str, environ: Mapping[str, str]) -> str:
    """Where a program lies; empty where it is not found."""
    folders = [""] if os.sep in word else environ.get("PATH", os.defpath).split(os.pathsep)
    paths = [os.path.join(folder, word) for folder in folders]
    return next((path for path in paths if os.path.isfile(path) and os.access(path, os.X_OK)), "")

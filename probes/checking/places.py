"""Where the job reads and writes, as far as the user and its environment tell."""

import os
import secrets
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress

from probes import procfs
from probes.checking import machine
from probes.checking.check import Target

VARIABLES = (  # where what a job writes lies, by its environment
    *("TMPDIR", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "TORCH_EXTENSIONS_DIR", "CUDA_CACHE_PATH"),
    *("HF_HOME", "XDG_CACHE_HOME", "TORCH_HOME"),
)


def folders(target: Target) -> list[str]:
    named = [target.environ[name] for name in VARIABLES if target.environ.get(name)]
    home = target.environ.get("HOME", "")
    return [*target.folders, *named, "/tmp", *([f"{home}/.cache"] if home else []), os.getcwd()]


def nearest(path: str) -> str:
    """The path, or the folder in which it would be made."""
    path = os.path.abspath(path)
    while not os.path.exists(path) and path != "/":
        path = os.path.dirname(path)
    return path


def apart(paths: Iterable[str]) -> dict[str, str]:
    """{path: the folder there}, one for each file system; what cannot be looked at is left out."""
    found: dict[int, tuple[str, str]] = {}
    for path in paths:
        there = nearest(path)
        try:
            found.setdefault(os.stat(there).st_dev, (path, there))
        except OSError:
            continue
    return dict(found.values())


def platform(environ: Iterable[str]) -> str:
    """Who ends this container, and so with which signal and how patiently: by the variables it sets."""
    known = {"MODAL_TASK_ID": "modal", "SLURM_JOB_ID": "slurm", "KUBERNETES_SERVICE_HOST": "kubernetes"}
    named = next((name for variable, name in known.items() if variable in environ), "")
    return named or ("docker" if os.path.exists("/.dockerenv") else "")


def settings(target: Target) -> dict[str, float]:
    """What the user told, else what the platform leaves a job."""
    return {**target.platforms.get(platform(target.environ), {}), **target.settings}


def own(folder: str, prefix: str, least_s: float = 0.0) -> str:
    """The beginning of a name that is ours alone; what processes that were killed left behind is removed.

    In folders that other hosts share, whose processes are not seen here, only what is older than `least_s`.
    """
    for name in machine.listed(folder):
        pid = name.removeprefix(prefix).partition("-")[0]
        if name.startswith(prefix) and pid.isdigit() and not procfs.is_alive(int(pid), 0):
            path = os.path.join(folder, name)
            with suppress(OSError):
                if time.time() - os.lstat(path).st_mtime >= least_s:
                    shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
    return f"{prefix}{os.getpid()}-"


def shared_name(folder: str) -> str:
    """A new path in a folder of the job's, for a moment."""
    return os.path.join(folder, own(folder, f".diagnose-{os.uname().nodename}-", 60.0) + secrets.token_hex(6))

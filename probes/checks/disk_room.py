"""Room and inodes where the job writes: temporary files, compile caches, its own folders."""

import os

from probes.checking.check import Check, Measurement, Target, measured, skipped

CHECK = Check(asks={"checkpoint_bytes": "size of one checkpoint"})
VARIABLES = (  # where what a job writes lies, by its environment
    *("TMPDIR", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "TORCH_EXTENSIONS_DIR", "CUDA_CACHE_PATH"),
    *("HF_HOME", "XDG_CACHE_HOME", "TORCH_HOME"),
)


def measure(target: Target) -> list[Measurement]:
    """One file system once, however many folders lie in it."""
    found: dict[int, Measurement] = {}
    for path in folders(target):
        there = nearest(path)
        try:
            device = os.stat(there).st_dev
            found.setdefault(device, room(path, there, target))
        except OSError as error:
            return [*found.values(), skipped(path, f"statvfs({there})", error.strerror or str(error))]
    return list(found.values())


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


def room(path: str, there: str, target: Target) -> Measurement:
    now = os.statvfs(there)
    free, size = now.f_bavail * now.f_frsize, now.f_blocks * now.f_frsize
    wanted = target.settings.get("checkpoint_bytes")
    return measured(
        path,
        f"statvfs({there})",
        free_bytes=free,
        size_bytes=size,
        free_share=free / size if size else None,
        free_inodes_share=now.f_favail / now.f_files if now.f_files else None,  # btrfs and others count none
        free_checkpoints=free / wanted if wanted else None,
    )

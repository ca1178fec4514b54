"""Which volume holds what: files that processes have open or mapped, folders they were told, by mount.

Only paths are read, from /proc; no file is touched. A memory map may still not be told while its process
waits for a file system: ask in a child.
"""

import argparse
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from probes import procfs
from probes.disks import Mount, parse_mounts
from probes.emit import open_log

CACHES = ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "TORCH_EXTENSIONS_DIR", "CUDA_CACHE_PATH")
DUMPS = (
    "TORCH_FR_DUMP_TEMP_FILE",
    "TORCH_NCCL_DEBUG_INFO_TEMP_FILE",
    "TORCHELASTIC_ERROR_FILE",
    "NCCL_DEBUG_FILE",
)
VOLUMES = "DIAGNOSE_VOLUMES"  # NAME=PATH pairs, `:` between them, from whoever mounted them
_CACHE = re.compile(r"torchinductor_|/\.triton/|inductor[-_]?cache|triton[-_]?cache|/torch_extensions/")
_CHECKPOINT = re.compile(r"(?i)(?:^|[/_.-])(?:checkpoints?|ckpts?)(?:$|[/_.-])|\.(?:ckpt|distcp)$")
_WEIGHTS = re.compile(r"(?i)\.(?:pt|pth|bin|safetensors|tar)(?:\.tmp\w{0,20})?$")
_DATA = re.compile(
    r"(?i)\.(?:bin|idx|arrow|parquet|tar|jsonl|npy|npz|mds|tfrecords?|h5|hdf5|lmdb|mdb|zst|csv|gguf|safetensors"
    r"|mp4|mkv|wav|flac)$"
)
_LOGS = re.compile(r"(?i)\.(?:log|err|out)$|/(?:logs?|tensorboard|wandb)/|/events\.out\.tfevents")
_OURS = re.compile(r"^/(?:dev|proc|sys)/|/(?:site|dist)-packages/|^/usr/lib|\(deleted\)$")
_SAVES = re.compile(
    r"(?i)--?(?:save|output|checkpoint|ckpt)(?:[-_](?:dir|path|folder|checkpoint|to))?(?:=(.{1,1000}))?"
)
_READS = re.compile(
    r"(?i)--?(?:train[-_])?(?:data|dataset)(?:[-_](?:dir|path|root|folder|prefix))?(?:=(.{1,1000}))?"
)
_MAPPED = re.compile(
    rb"(?m)^[0-9a-f-]{5,40} r\S\S\S [0-9a-f]{1,16} [0-9a-f:]{1,9} \d{1,20} +(/[^\n]{1,1000})$"
)
_MOST_FILES, _MOST_MAPS = 2000, 8 << 20


class Held(NamedTuple):
    """A path and what lies there: checkpoints, cache, data or diagnostics; `how` that is known."""

    what: str
    path: str
    how: str  # open | mapped | told


def kind(path: str, is_written: bool | None) -> str:
    """What a file is to a job, by its name and by whether it is open for writing; empty for anything else.

    >>> kind("/ckpt/run/step-100.pt", True), kind("/d/shard-7.parquet", False), kind("/usr/bin/env", False)
    ('checkpoints', 'data', '')
    """
    if _OURS.search(path):
        return ""
    if _CACHE.search(path):
        return "cache"
    if _CHECKPOINT.search(path) or (is_written and _WEIGHTS.search(path)):
        return "checkpoints"
    if is_written:
        return "diagnostics" if _LOGS.search(path) else ""
    return "data" if _DATA.search(path) else ""


def open_files(pid: int) -> Iterator[Held]:
    """Regular files by their descriptors; pipes, sockets and devices have no path below a mount."""
    for number, path in list((procfs.fd_links(pid) or {}).items())[:_MOST_FILES]:
        if not path.startswith("/") or not (kind(path, True) or kind(path, False)):
            continue
        if what := kind(path, is_written(pid, number)):
            yield Held(what, path, "open")


def is_written(pid: int, number: int) -> bool | None:
    """Whether a descriptor is open for writing; None where the kernel does not tell."""
    for line in (procfs.read(f"/proc/{pid}/fdinfo/{number}") or b"").splitlines():
        if line.startswith(b"flags:"):
            try:
                return int(line[6:], 8) & os.O_ACCMODE != os.O_RDONLY
            except ValueError:
                return None
    return None


def mapped_files(raw: bytes) -> Iterator[Held]:
    """Data that is mapped, not open: memory maps outlive their descriptors.

    >>> list(mapped_files(b"7f00-7f01 r--s 00000000 00:2f 12        /mnt/d/train.bin\\n"))
    [Held(what='data', path='/mnt/d/train.bin', how='mapped')]
    """
    for path in dict.fromkeys(found[1] for found in _MAPPED.finditer(raw[:_MOST_MAPS])):
        name = path.decode(errors="replace").strip()
        if (what := kind(name, False)) == "data":
            yield Held(what, name, "mapped")


def told(argv: Sequence[str], environ: Mapping[str, str], folder: str) -> Iterator[Held]:
    """Folders that a command line or its environment names.

    >>> list(told(["train.py", "--save-dir", "out", "--data-path=/mnt/d/x"], {}, "/w"))
    [Held(what='checkpoints', path='/w/out', how='told'), Held(what='data', path='/mnt/d/x', how='told')]
    """
    for word, after in zip(argv, [*argv[1:], ""], strict=True):
        for pattern, what in ((_SAVES, "checkpoints"), (_READS, "data")):
            path = (match[1] or after) if (match := pattern.fullmatch(word)) else ""
            if is_path(path) and (what == "checkpoints" or "/" in path):  # a data set may have a plain name
                yield Held(what, os.path.normpath(os.path.join(folder, path)), "told")
    for names, what in ((CACHES, "cache"), (DUMPS, "diagnostics")):
        for name in names:
            if (path := environ.get(name, "")).startswith("/"):
                yield Held(what, os.path.normpath(path), "told")


def is_path(text: str) -> bool:
    return bool(text) and not text.startswith("-") and "://" not in text


def named(text: str) -> dict[str, str]:
    """point -> name of the volume mounted there, as whoever mounted it says.

    >>> named("ckpt=/ckpt:data=/mnt/data")
    {'/ckpt': 'ckpt', '/mnt/data': 'data'}
    """
    pairs = (part.partition("=") for part in text.split(":"))
    return {point.rstrip("/"): name for name, _, point in pairs if name and point.startswith("/")}


def place(path: str, mounts: Sequence[Mount]) -> Mount | None:
    """The mount that a path lies on: the longest point above it, the last one mounted there."""
    found: Mount | None = None
    for mount in mounts:
        point = mount.point.rstrip("/")
        is_above = path == point or path.startswith(f"{point}/")
        if is_above and (found is None or len(mount.point) >= len(found.point)):
            found = mount
    return found


def volumes(held: Sequence[Held], mounts: Sequence[Mount], names: Mapping[str, str]) -> list[dict[str, Any]]:
    """A row for each mount that holds anything of a job; `holds` gives one path of each kind."""
    known = {mount.point for mount in mounts}
    mounts = [
        *mounts,
        *(Mount(p, "volume", False, source=name) for p, name in names.items() if p not in known),
    ]
    root = next((mount.device for mount in mounts if mount.point == "/"), "")
    rows: dict[str, dict[str, Any]] = {}
    for one in held:
        mount = place(one.path, mounts)
        if mount is None:
            continue
        row = rows.setdefault(
            mount.point,
            {
                "point": mount.point,
                "filesystem": mount.kind,
                "volume": names.get(mount.point.rstrip("/"), mount.source),
                "remote": mount.is_remote or mount.point.rstrip("/") in names,
                "root": mount.point == "/" or (bool(root) and mount.device == root),
                "holds": {},
            },
        )
        best = row["holds"].get(one.what)
        if best is None or (best["how"] == "told" and one.how != "told"):
            row["holds"][one.what] = {"path": one.path, "how": one.how}
    return list(rows.values())


def of_process(
    pids: Sequence[int], extra: Sequence[Held] = (), with_maps: bool = True, spool: str = ""
) -> list[dict[str, Any]]:
    """The volumes of a rank (the first pid) and of its workers; what lies below `spool` passes."""
    first = pids[0]
    environ = procfs.environ(first)
    try:
        folder = os.readlink(f"/proc/{first}/cwd")
    except OSError:
        folder = "/"
    held = [*extra, *told(procfs.cmdline(first), environ, folder)]
    for pid in pids:
        held += open_files(pid)
        if with_maps:
            held += mapped_files(procfs.read(f"/proc/{pid}/maps") or b"")
    mounts = parse_mounts(procfs.read(f"/proc/{first}/mountinfo") or b"")
    held = [one for one in held if not (spool and one.path.startswith(f"{spool}/"))]
    return volumes(held, mounts, named(os.environ.get(VOLUMES, "")))


def main(argv: list[str] | None = None) -> int:
    """Say which volumes hold what of a process: its checkpoints, data, compile cache, diagnostics."""
    parser = argparse.ArgumentParser(prog="python -m probes.volumes", description=main.__doc__)
    parser.add_argument("pids", nargs="+", type=int, metavar="PID", help="a rank, and its workers")
    given = parser.parse_args(argv)
    open_log("volumes").info("volumes.read", volumes=of_process(given.pids))
    return 0


if __name__ == "__main__":
    sys.exit(main())

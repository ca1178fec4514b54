"""Where a job's compile cache lies, what is in it, what it is bound to: asked of probes, with a deadline."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from diagnose import children
from diagnose.caching.manifest import Provenance, Refused
from diagnose.model import Record
from diagnose.provenance import image as image_of
from diagnose.values import string
from probes import cache_places
from probes.cache_kinds import INDUCTOR, TRITON

READ_S, PROVENANCE_S = 120.0, 60.0


class Cache(Record, frozen=True):
    """The two folders; Triton's own is looked at where it is not below Inductor's."""

    inductor: Path
    triton: Path | None

    def parts(self) -> Iterator[tuple[str, Path]]:
        yield INDUCTOR, self.inductor
        if self.triton is not None:
            yield TRITON, self.triton


class Part(Record, frozen=True):
    """What is in one folder."""

    part: str
    folder: str
    kinds: dict[str, dict[str, int]] = {}
    num_entries: int = 0
    num_files: int = 0
    num_bytes: int = 0
    newest: float | None = None
    oldest: float | None = None
    held: list[dict[str, Any]] | None = None
    odd: list[dict[str, str]] = []
    num_odd: int = 0
    is_open: bool = False  # every user may read it
    error: str = ""


class Measured(Record, frozen=True):
    """What is in a cache."""

    parts: list[Part]
    num_entries: int
    num_bytes: int
    error: str = ""


def locate(environ: Mapping[str, str], inductor: Path | None = None, triton: Path | None = None) -> Cache:
    """Where a job with this environment has its cache.

    >>> locate({"TORCHINDUCTOR_CACHE_DIR": "/c", "TRITON_CACHE_DIR": "/c/triton"})
    Cache(inductor=PosixPath('/c'), triton=None)
    >>> locate({"TORCHINDUCTOR_CACHE_DIR": "/c", "TRITON_CACHE_DIR": "/t"}).triton
    PosixPath('/t')
    """
    first = absolute(inductor or cache_places.inductor(environ))
    second = absolute(triton or cache_places.triton(environ))
    return Cache(inductor=first, triton=None if second.is_relative_to(first) else second)


def absolute(path: Path | str) -> Path:
    return Path(os.path.normpath(Path(path).absolute()))


def asked(probe: str, arguments: list[str], limit_s: float) -> tuple[list[dict[str, Any]], str]:
    """The event lines of a probe, and why they are not all."""
    code, out, errors = children.ask(probe, arguments, b"", limit_s)
    lines = []
    for text in out.splitlines():
        try:
            lines.append(msgspec.json.decode(text, type=dict[str, Any]))
        except msgspec.DecodeError:
            break
    if code is None:
        return lines, f"no answer within {limit_s:.0f} s"
    return lines, "" if code == 0 else (errors.strip().splitlines() or ["no word"])[-1][:200]


def measure(cache: Cache, limit_s: float = READ_S) -> Measured:
    """Count what is there; a file system that does not answer is an `error`."""
    arguments = [word for part, folder in cache.parts() for word in (f"--{part}", str(folder))]
    lines, error = asked("cache", arguments, limit_s)
    names = set(Part.__struct_fields__)
    found = [
        msgspec.convert({k: v for k, v in line.items() if k in names}, type=Part)
        for line in lines
        if line.get("event") == "cache.read"
    ]
    error = error or "; ".join(f"{one.folder}: {one.error}" for one in found if one.error)
    return Measured(
        parts=found,
        num_entries=sum(one.num_entries for one in found),
        num_bytes=sum(one.num_bytes for one in found),
        error=error,
    )


def require_rest(found: Measured) -> None:
    """Raises Refused where a compiler is at work in the cache, or it cannot be read."""
    if found.error:
        raise Refused(f"the cache cannot be read: {found.error}")
    if held := [lock for part in found.parts for lock in part.held or []]:
        raise Refused(f"process {held[0]['pid']} compiles into it ({held[0]['path']} is locked)")


def provenance(environ: Mapping[str, str], python: str, image: str = "") -> Provenance:
    """What compiled code is bound to here, in that interpreter. Raises Refused where nobody can tell."""
    lines, error = asked("provenance", ["--python", python], PROVENANCE_S)
    if error or not lines:
        raise Refused(f"versions and GPUs cannot be found out: {error or 'no word'}")
    told = lines[-1]
    gpus = told.get("gpus")
    names = sorted({string(name) for name in gpus}) if isinstance(gpus, list) else []
    versions = {
        key: string(told.get(key), 100) for key in ("torch", "cuda", "hip", "triton", "python", "cpu")
    }
    return Provenance(
        image=image or image_of(environ),
        gpu=", ".join(names) if names else "none" if gpus == [] else "",
        num_gpus=len(gpus) if isinstance(gpus, list) else None,
        **versions,
    )

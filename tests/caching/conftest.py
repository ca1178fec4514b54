"""A small cache as Inductor and Triton lay it out, and what it is of."""

import hashlib
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import zstandard

from diagnose import playbook
from diagnose.caching.archive import Limits
from diagnose.caching.manifest import File, Manifest, Provenance
from diagnose.caching.places import Cache

HERE = Provenance(
    image="im-1", gpu="NVIDIA H200", num_gpus=8, torch="2.13.0", python="3.11.7", cpu="x86_64 avx2"
)
KEY = "triton/0/5KQ2"
FILES = {
    "fxgraph/gr/fgr1/tzp1": b"graph" * 20_000,
    "aotautograd/asz1/5la1": b"autograd",
    "7s/c7s1.main.so": b"\x7fELF library",
    "7s/c7s1.main.cpp": b"int main() {}",
    "fv/cfv1.py": b"def call(): pass",
    "fv/cfv1.best_config": b"{}",
    "dynamo/code_state_x.pkl": b"profile",
    f"{KEY}/kernel.cubin": b"cubin",
    f"{KEY}/__grp__kernel.json": b"{}",
    "locks/c7s1.lock": b"",
    "fxgraph/gr/fgr2/.77.140.tmp": b"half",
    f"{KEY}/tmp.pid_7_ab/kernel.json": b"half",
    "precompiled_headers/x.gch": b"large",
}
CARRIED = {name for name in FILES if not any(word in name for word in ("lock", "tmp", "headers"))}


def lay(folder: Path) -> None:
    """Fill a folder with them."""
    for name, data in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    group(folder, folder)


def group(folder: Path, made_in: Path) -> None:
    """Triton's list of a kernel's files, as it is written in `made_in`."""
    paths = {"child_paths": {"kernel.cubin": str(made_in / KEY / "kernel.cubin")}}
    (folder / KEY / "__grp__kernel.json").write_bytes(msgspec.json.encode(paths))


@pytest.fixture
def limits() -> Limits:
    return playbook.read(playbook.root() / "cache.toml", Limits)


@pytest.fixture
def warm(tmp_path: Path) -> Cache:
    """A cache after a good run."""
    top = tmp_path / "warm" / "inductor"
    lay(top)
    (top / "7s" / "c7s1.main.so").chmod(0o755)
    (top / "7s" / "link.so").symlink_to("/etc/passwd")
    return Cache(inductor=top, triton=tmp_path / "warm" / "none")


@pytest.fixture
def cold(tmp_path: Path) -> Cache:
    """Where a cache is to be."""
    return Cache(inductor=tmp_path / "job" / "inductor", triton=tmp_path / "job" / "triton")


@pytest.fixture
def good(warm: Cache, limits: Limits, tmp_path: Path) -> Path:
    """A folder with the archive of the warm cache."""
    from diagnose.caching import capture

    found = capture.describe(warm, HERE, limits, "training", "train-1")
    return capture.capture(warm, found, tmp_path / "store")


Pack = Callable[..., Path]


@pytest.fixture
def pack(tmp_path: Path) -> Pack:
    """`pack(members, files, provenance=HERE)`: an archive as anybody may write it.

    `members` are (TarInfo or name, content), `files` what the manifest says (default: what is true of them).
    """

    def write(members, files=None, provenance=HERE, tail=b"", first="manifest.json") -> Path:
        told = (
            files
            if files is not None
            else [described(name, data) for name, data in members if isinstance(name, str)]
        )
        body = msgspec.json.encode(Manifest(files=told, provenance=provenance, created=1.0))
        raw = io.BytesIO()
        with tarfile.open(fileobj=raw, mode="w") as tar:
            for name, data in [(first, body), *members]:
                info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
                if info.isreg():
                    info.size = len(data)
                tar.addfile(info, io.BytesIO(data) if info.isreg() else None)
        path = tmp_path / "foreign.tar.zst"
        path.write_bytes(zstandard.compress(raw.getvalue() + tail))
        return path

    return write


def described(name: str, data: bytes) -> File:
    return File(name, len(data), hashlib.sha256(data).hexdigest())


def content(folder: Path) -> dict[str, bytes]:
    """Every file below, but for our notes."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".diagnose-")
    }

"""Our own distribution as one wheel, made from the files that run here: one upload, wherever we lie.

Neither a build tool nor the sources' folder is needed, and equal files make an equal wheel: a platform that
has it takes no second one.
"""

import atexit
import base64
import hashlib
import importlib.metadata
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import diagnose
from diagnose import playbook
from probes import files

NAME = "gpu-diagnose"
DATE = (1980, 1, 1, 0, 0, 0)
LEFT_OUT = {"__pycache__", ".git"}
WHEEL = "Wheel-Version: 1.0\nGenerator: diagnose\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


@cache
def wheel() -> Path:
    """The wheel's path; it is there until this process ends. Raises OSError, PackageNotFoundError."""
    folder = Path(tempfile.mkdtemp(prefix="diagnose-wheel-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    found = importlib.metadata.distribution(NAME)
    stem = f"{NAME.replace('-', '_')}-{found.version}"
    path = folder / f"{stem}-py3-none-any.whl"
    told = {name: found.read_text(name) or "" for name in ("METADATA", "entry_points.txt")}
    written: list[tuple[str, bytes]] = [
        *ours(),
        *((f"{stem}.dist-info/{name}", text.encode()) for name, text in {**told, "WHEEL": WHEEL}.items()),
    ]
    record = f"{stem}.dist-info/RECORD"
    lines = [f"{name},sha256={digest(data)},{len(data)}" for name, data in written] + [f"{record},,"]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in [*written, (record, "\n".join([*lines, ""]).encode())]:
            info = zipfile.ZipInfo(name, DATE)
            info.external_attr = 0o644 << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return path


def ours() -> Iterator[tuple[str, bytes]]:
    """(name in the wheel, content) of every file of the packages and of the playbook."""
    packages = [Path(module.__file__).parent for module in (diagnose, files) if module.__file__]
    inside = packages[0] / "playbooks"  # where an installed one has it
    places = [(folder, folder.name) for folder in packages] + [(playbook.root(), "diagnose/playbooks")]
    for folder, name in places:
        for path in sorted(folder.rglob("*")):
            is_double = folder == packages[0] and path.is_relative_to(inside)
            if path.is_file() and not is_double and not LEFT_OUT & set(path.relative_to(folder).parts):
                yield f"{name}/{path.relative_to(folder).as_posix()}", path.read_bytes()


def digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()

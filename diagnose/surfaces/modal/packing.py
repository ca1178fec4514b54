"""The probes as one zipapp, for a container that has nothing of ours: it needs a Python there, and no more.

The same sources give the same bytes. It is kept in the user's cache, named by its content.
"""

import hashlib
import importlib.util
import io
import os
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from probes.files import atomic_write

# Ours, and what ours import: pure Python all of it. The last is structlog's, before Python 3.11.
PACKED = ("probes", "structlog", "pynvml", "typing_extensions")
OPTIONAL = {"pynvml", "typing_extensions"}
MAIN = b"import sys\nfrom probes.carried import main\nsys.exit(main())\n"
STAMP = (1980, 1, 1, 0, 0, 0)  # the first that a zip file knows


def sources() -> Iterator[tuple[str, bytes]]:
    """(path in the zipapp, text) of every module. Raises ModuleNotFoundError."""
    yield "__main__.py", MAIN
    for name in PACKED:
        found = importlib.util.find_spec(name)
        if found is None or not found.origin:
            if name not in OPTIONAL:
                raise ModuleNotFoundError(f"{name} is not installed", name=name)
            continue
        top = Path(found.origin)
        paths = sorted(top.parent.rglob("*.py")) if found.submodule_search_locations else [top]
        base = top.parent.parent if found.submodule_search_locations else top.parent
        for path in paths:
            yield path.relative_to(base).as_posix(), path.read_bytes()


def zipped(files: list[tuple[str, bytes]]) -> bytes:
    """A zip file of these, in their order; nothing of it tells when or where it was made."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, text in files:
            info = zipfile.ZipInfo(name, STAMP)
            info.compress_type, info.create_system = zipfile.ZIP_DEFLATED, 3
            info.external_attr = 0o100644 << 16
            archive.writestr(info, text)
    return target.getvalue()


def zipapp() -> bytes:
    """The zipapp, from the cache where it was packed before. Raises ModuleNotFoundError, OSError."""
    files = list(sources())
    digest = hashlib.sha256()
    for name, text in files:
        digest.update(b"%d %s\n%d\n" % (len(name), name.encode(), len(text)))
        digest.update(text)
    path = cache() / f"probes-{digest.hexdigest()[:32]}.pyz"
    with suppress(OSError):
        return path.read_bytes()
    made = zipped(files)
    with suppress(OSError):  # a cache that cannot be written is none
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, made)
    return made


def cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "diagnose"

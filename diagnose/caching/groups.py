"""Triton's `__grp__*.json`: lists of a kernel's files by absolute path, wrong wherever else they are put."""

from pathlib import Path, PurePosixPath

import msgspec

from diagnose.caching.manifest import File

MAX_GROUP = 1 << 20


def is_group(file: File) -> bool:
    name = file.name.rpartition("/")[2]
    return name.startswith("__grp__") and name.endswith(".json") and file.size <= MAX_GROUP


def moved(data: bytes, folder: Path) -> bytes:
    """The same list for files that lie in `folder`; what is no such list stays as it is.

    >>> moved(b'{"child_paths": {"k.cubin": "/old/KEY/k.cubin"}}', Path("/new/KEY"))
    b'{"child_paths":{"k.cubin":"/new/KEY/k.cubin"}}'
    """
    try:
        found = msgspec.json.decode(data, type=dict[str, dict[str, str]])
        paths = found["child_paths"]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError):
        return data
    fresh = {name: str(folder / (PurePosixPath(path).name or name)) for name, path in paths.items()}
    return msgspec.json.encode(found | {"child_paths": fresh})

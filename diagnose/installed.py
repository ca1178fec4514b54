"""Packages beside a command's Python, by the folders that installers leave. Nothing is imported or asked."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec

from diagnose import uncommitted
from probes.files import contents

MOST, LONGEST = 1500, 80
MINOR = re.compile(r"python3\.\d{1,2}")


def packages(python: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """name -> version; of one that lies in a checkout its commit too. The first on the path counts."""
    found: dict[str, str] = {}
    for folder in folders(python, environ):
        with suppress(OSError):
            for entry in sorted(folder.glob("*.dist-info"))[:MOST]:
                name, _, version = entry.name.removesuffix(".dist-info").partition("-")
                name = name.lower().replace("-", "_")[:LONGEST]
                if name.isascii() and name not in found:
                    found[name] = version + origin(entry)[:LONGEST]
    return dict(sorted(found.items())[:MOST])


def folders(python: Path, environ: Mapping[str, str]) -> Iterator[Path]:
    yield from (Path(place) for place in environ.get("PYTHONPATH", "").split(os.pathsep) if place)
    minor = MINOR.search(os.path.realpath(python))
    for top in (python.parent.parent, Path("/usr/local")):
        for folder in sorted(top.glob("lib*/python3*/*-packages")):
            if minor is None or folder.parent.name in (minor[0], "python3"):
                yield folder


def origin(entry: Path) -> str:
    """Of one that came from no index (PEP 610): ` editable`, and the commit where there is one.

    >>> origin(Path("/no/such.dist-info"))
    ''
    """
    try:
        told = msgspec.json.decode(contents(entry / "direct_url.json", 8192))
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    if not isinstance(told, dict):
        return ""
    kind, vcs = told.get("dir_info"), told.get("vcs_info")
    if isinstance(vcs, dict):
        return f" {str(vcs.get('commit_id'))[:12]}"
    if not isinstance(kind, dict) or not kind.get("editable"):
        return ""
    with suppress(OSError, ValueError):
        place = Path(unquote(urlsplit(str(told.get("url"))).path))
        for top in (place, *place.parents) if place.is_absolute() else ():
            if (top / ".git").exists():
                return f" editable {uncommitted.head(top)[:12]}".rstrip()
    return " editable"

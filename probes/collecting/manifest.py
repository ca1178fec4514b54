"""The last word on a run whose parent is gone."""

import json
import os
import time

from probes import layout
from probes.files import atomic_write

_ENDED = {"ok", "error", "lost"}


def set_lost(run_dir: str, reason: str) -> bool:
    """Turn the manifest to `lost`, unless the run had already come to an end; False where it is as it was.

    Raises OSError if it cannot be written. A manifest that is missing or unreadable is made new.
    """
    path, now = layout.manifest_path(run_dir), round(time.time(), 6)
    manifest = {"schema": "diagnose/manifest/1", "run": os.path.basename(run_dir.rstrip("/"))}
    try:
        with open(path, "rb") as file:
            manifest |= json.loads(file.read())
    except (OSError, ValueError, TypeError):
        pass
    if manifest.get("state") in _ENDED:
        return False
    before = manifest.get("transitions")
    transitions = [
        *(before if isinstance(before, list) else []),
        {"state": "lost", "time": now, "reason": reason},
    ]
    atomic_write(
        path, json.dumps({**manifest, "state": "lost", "transitions": transitions}, indent=1).encode()
    )
    return True

"""The last line a rank printed, where the launcher keeps a log for each rank."""

import glob
import os

from probes import layout
from probes.watching.rank import Rank

_TAIL = 4096


def last_line(spool: str, one: Rank) -> str | None:
    """Last non-empty line of the rank's newest log; of the launcher's log if it is the only rank."""
    folder = os.path.join(layout.elastic_dir(spool), "*", f"attempt_{one.restart_count}", str(one.local_rank))
    found = glob.glob(os.path.join(folder, "std*.log"))
    if not found and one.world_size == 1:
        found = [layout.spool_launcher_log(spool)]
    try:
        newest = max(found, key=lambda path: os.stat(path).st_mtime)
        with open(newest, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
            lines = file.read().decode(errors="replace").replace("\r", "\n").split("\n")
    except (OSError, ValueError):
        return None
    return next((line.strip()[-400:] for line in reversed(lines) if line.strip()), None)

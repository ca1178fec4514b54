"""Files that are written once and whole: stacks, dumps, errors, what the host said."""

import os
import shutil

from probes import layout
from probes.files import atomic_write, finished

KINDS = ("stacks", "flight", "errors", "host")


class Wholes:
    """Copies one attempt's whole files. Raises OSError of the destination; call it again later then."""

    def __init__(self, spool: str, run_dir: str, attempt: str) -> None:
        self.source = layout.attempt_dir(spool, attempt)
        self.target = layout.attempt_dir(run_dir, attempt)
        self.done: dict[str, tuple[int, int]] = {}

    def copy(self) -> int:
        """Copy what is new or changed; bytes copied."""
        dropped, total = self._dropped(), 0
        for kind in KINDS:
            for name in finished(os.path.join(self.source, kind)):
                path = os.path.join(kind, name)
                if os.path.dirname(path) not in dropped:
                    total += self.copy_one(os.path.join(self.source, path), os.path.join(self.target, path))
        return total

    def copy_one(self, source: str, target: str) -> int:
        """Copy one file unless the destination has it; a source that has gone is passed over."""
        try:
            now = os.stat(source)
            version = (now.st_mtime_ns, now.st_size)
            if self.done.get(source) == version:
                return 0
            with open(source, "rb") as file:
                data = file.read()
        except OSError:
            return 0
        if not _has(target, now):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            atomic_write(target, data)
        self.done[source] = version
        return len(data)

    def _dropped(self) -> set[str]:
        """Folders that the agent took back: they go from the destination too."""
        try:
            with open(os.path.join(self.source, "dropped.txt")) as file:
                names = {line.strip() for line in file if line.endswith("\n")}
        except OSError:
            return set()
        names = {name for name in names if name.startswith("flight/") and name[7:].isdigit()}
        for name in names:
            folder = os.path.join(self.target, name)
            if os.path.isdir(folder):
                shutil.rmtree(folder, ignore_errors=True)
        return names


def _has(target: str, source: os.stat_result) -> bool:
    try:
        there = os.stat(target)
    except OSError:
        return False
    return there.st_size == source.st_size and there.st_mtime_ns >= source.st_mtime_ns

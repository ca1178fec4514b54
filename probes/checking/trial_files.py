"""What a trial leaves: lines of its ranks, the launcher's last words, a run directory. Read within bounds."""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import PurePath
from typing import Any

MIB = 1 << 20
NUM_LINES, NUM_BYTES = 20_000, 16 * MIB  # of one file
Said = dict[str, Any]


def cause(words: list[str]) -> str:
    """The line of a launcher's output that says most: an exception's own.

    >>> cause(["Traceback (most recent call last):", "ImportError: no torch", "torchrun: failed"])
    'ImportError: no torch'
    """
    found = [word for word in words if word.split(":")[0].endswith(("Error", "Exception")) and ": " in word]
    return (found or words[-1:] or [""])[0].strip()[:300]


def lines(path: str) -> list[Said]:
    """The objects of a file of JSON lines that have a part; a torn line is passed over."""
    found: list[Said] = []
    for line in text(path).splitlines()[:NUM_LINES]:
        with suppress(ValueError):
            one = json.loads(line)
            if isinstance(one, dict) and isinstance(one.get("part"), str):
                found.append(one)
    return found


def text(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file.read(NUM_BYTES).decode(errors="replace")
    except OSError:
        return ""


def left(run: str) -> Said:
    """What lies in a run directory: the verdict, when stacks and dumps were written, when what was said."""
    found: Said = {"stacks": {}, "flight": {}, "events": {}, "verdict": {}}
    with suppress(ValueError):
        found["verdict"] = json.loads(text(os.path.join(run, "verdict.json")) or "{}")
    for folder, _, names in os.walk(run):
        for name in names:
            path, kind = os.path.join(folder, name), PurePath(folder).parent.name
            if kind in ("stacks", "flight") and name.startswith("rank-"):
                with suppress(OSError, ValueError):
                    rank = int(name[5:10])
                    found[kind].setdefault(rank, []).append(os.stat(path).st_mtime)
            elif PurePath(folder).name == "events":
                for event in events(path):
                    found["events"].setdefault(event["event"], []).append(event.get("time"))
    return found


def events(path: str) -> Iterator[Said]:
    for line in text(path).splitlines()[:NUM_LINES]:
        with suppress(ValueError):
            one = json.loads(line)
            if isinstance(one, dict) and isinstance(one.get("event"), str):
                yield one

"""Rows of `diagnose runs`."""

import socket
import time
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from diagnose import follow, playbook, reader, record
from diagnose.contract import RunRecord
from diagnose.render.page import SYMPTOM
from diagnose.render.rows import clock, headline, safe

HEAD = ("RUN", "STARTED", "TOOK", "RANKS", "STATE", "FOUND")
book = cache(playbook.load)


def row(path: Path) -> tuple[str, ...]:
    """One run, settled first."""
    found = follow.settle(path, socket.gethostname())
    state = found.state if found else "?"
    told = "" if state in reader.ENDED else "running"
    if not told:
        verdict = reader.recall(path, path.name, book)
        told = headline(verdict.causes[0]) if verdict.causes else SYMPTOM.get(verdict.symptom, "").lower()
    done = record.read(path)
    begun = done.started if done and done.started else found.transitions[0].time if found else 0.0
    started = time.strftime("%m-%d %H:%M", time.localtime(begun))
    return safe(path.name), started, took(done), str(len(done.ranks) or "") if done else "", state, told


def took(done: RunRecord | None) -> str:
    return clock(done.ended - done.started) if done and done.started and done.ended else ""


def lines(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Columns as wide as they must be."""
    widths = [max(len(r[i]) for r in [HEAD, *rows]) for i in range(len(HEAD))]
    for one in [HEAD, *rows]:
        yield "  ".join(f"{cell:{width}}" for cell, width in zip(one, widths, strict=True)).rstrip()

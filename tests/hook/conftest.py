"""Runs a program bare and under the rank hook."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from probes import layout, rank_hook

HOOK = str(Path(rank_hook.__file__).parent)
_HIDDEN = ("DIAGNOSE_", "RANK", "LOCAL_RANK", "WORLD_SIZE", "PYTHONPATH", "TORCHELASTIC", "PET_", "MASTER_")


@dataclass
class Runner:
    """One spool, one folder for the program's files."""

    spool: str
    folder: Path
    environ: dict[str, str] = field(default_factory=dict)

    def write(self, name: str, text: str) -> str:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    def bare(self, argv: list[str], **environ: str) -> subprocess.CompletedProcess[str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(_HIDDEN)}
        clean.update(OMP_NUM_THREADS="1", **self.environ)
        clean.update(environ)
        return subprocess.run(
            argv,
            env=clean,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            stdin=subprocess.DEVNULL,
        )

    def hooked(self, argv: list[str], **environ: str) -> subprocess.CompletedProcess[str]:
        theirs = environ.pop("PYTHONPATH", "")
        ours = {
            "DIAGNOSE_SPOOL": self.spool,
            "DIAGNOSE_RUN": "r1",
            "DIAGNOSE_ATTEMPT": "1",
            "DIAGNOSE_PARENT_PID": str(os.getpid()),
            "PYTHONPATH": os.pathsep.join([HOOK, *([theirs] if theirs else [])]),
        }
        return self.bare(argv, **{**ours, **environ})

    def both(self, argv: list[str]) -> list[subprocess.CompletedProcess[str]]:
        """Bare and under the hook, side by side."""
        with ThreadPoolExecutor(2) as lanes:
            return [lane.result() for lane in [lanes.submit(run, argv) for run in (self.bare, self.hooked)]]

    def events(self, rank: int, attempt: str = "1") -> list[dict[str, Any]]:
        path = Path(layout.events_path(self.spool, attempt, layout.rank_name(rank)))
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def one(self, rank: int, kind: str) -> dict[str, Any]:
        found = [event for event in self.events(rank) if event["event"] == kind]
        assert len(found) == 1, f"{kind} of rank {rank}: {len(found)} times"
        return found[0]

    def ranks(self, attempt: str = "1") -> list[str]:
        folder = Path(layout.attempt_dir(self.spool, attempt), "events")
        return sorted(path.stem for path in folder.iterdir()) if folder.exists() else []

    def claim(self, rank: int) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(Path(layout.claim_path(self.spool, "1", rank)).read_text())
        return found


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    spool = tempfile.mkdtemp(prefix="dg-")  # short: unix sockets live in it
    yield Runner(spool, tmp_path)
    shutil.rmtree(spool)


@pytest.fixture
def python() -> Callable[..., list[str]]:
    return lambda *words: [sys.executable, *words]

"""A run without `diagnose run`: a spool, processes with its mark, an agent and a collector beside them."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from probes import procfs
from probes.watching import strays

ROOT = Path(__file__).parents[2]
HOOK = ROOT / "probes" / "rank_hook"


def wait_for(found: Callable[[], Any], limit_s: float = 60.0) -> Any:
    """Poll until `found` answers something true; fails at the limit, which a busy machine keeps too."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if value := found():
            return value
        time.sleep(0.01)
    raise AssertionError(f"not seen within {limit_s} s")


class Job:
    """One run's spool, run directory and processes."""

    def __init__(self, folder: Path) -> None:
        self.spool = Path(tempfile.mkdtemp(prefix="dg-"))
        self.run_dir = folder / "run"
        self.run_dir.mkdir()
        (self.spool / "attempts" / "1" / "events").mkdir(parents=True)
        (self.spool / "sock").mkdir()
        self.mark = os.urandom(8).hex()
        self.started: list[subprocess.Popen[bytes]] = []
        self.folder = folder

    def popen(
        self, argv: list[str], env: dict[str, str] | None = None, **more: Any
    ) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(argv, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, **more)
        self.started.append(process)
        return process

    def env(self, **more: str) -> dict[str, str]:
        """What the parent sets for the command; without the hook."""
        base = {k: v for k, v in os.environ.items() if not k.startswith(("DIAGNOSE", "RANK"))}
        return base | {"DIAGNOSE_MARK": self.mark, "OMP_NUM_THREADS": "1"} | more

    def hooked(self, **more: str) -> dict[str, str]:
        """The same with the hook."""
        return self.env(
            DIAGNOSE_SPOOL=str(self.spool),
            DIAGNOSE_RUN="test",
            DIAGNOSE_ATTEMPT="1",
            DIAGNOSE_PARENT_PID=str(os.getpid()),
            PYTHONPATH=str(HOOK),
            **more,
        )

    def agent(
        self, *more: str, parent: int = 0, stall_after: float = 60.0, tick_s: float = 1.0
    ) -> subprocess.Popen[bytes]:
        program = f"import sys; from probes import agent; agent.TICK_S = {tick_s}; sys.exit(agent.main())"
        times = ["--stall-after", str(stall_after), "--stall-after-first", str(stall_after)]
        given = [
            "--spool",
            str(self.spool),
            "--run",
            "test",
            "--mark",
            self.mark,
            "--parent-pid",
            str(parent),
        ]
        return self.popen([sys.executable, "-c", program, *given, *times, *more], start_new_session=True)

    def collector(self, parent: int | None = None, **more: Any) -> subprocess.Popen[bytes]:
        given = ["--spool", str(self.spool), "--run-dir", str(self.run_dir), "--mark", self.mark]
        argv = [sys.executable, "-m", "probes.collector", *given, "--parent", str(parent or os.getpid())]
        return self.popen(argv, start_new_session=True, **more)

    def events(self, kind: str, rank: int | None = None, attempt: str = "1") -> list[dict[str, Any]]:
        """What the agent has said so far."""
        return [
            e for e in self.said(attempt) if e["event"] == kind and (rank is None or e.get("rank") == rank)
        ]

    def said(self, attempt: str = "1", writer: str = "agent") -> list[dict[str, Any]]:
        path = self.spool / "attempts" / attempt / "events" / f"{writer}.jsonl"
        raw = path.read_bytes() if path.exists() else b""
        return [json.loads(line) for line in raw[: raw.rfind(b"\n") + 1].splitlines()]

    def claim(self, rank: int, pid: int, **more: Any) -> None:
        """Say what a hook would say."""
        stat = procfs.stat(pid)
        event = {"v": 1, "time": time.time(), "event": "rank.claimed", "source": "rank_hook", "run": "test"}
        event |= {"attempt": "1", "node": "n", "rank": rank, "level": "info", "pid": pid, "local_rank": rank}
        event |= {
            "start_ticks": stat.start_ticks if stat else 0,
            "world_size": 2,
            "how": "environment",
            **more,
        }
        path = self.spool / "attempts" / "1" / "events" / f"rank-{rank:05d}.jsonl"
        with path.open("a") as file:
            file.write(json.dumps(event) + "\n")

    def close(self) -> None:
        strays.end(self.mark, grace_s=0.0)
        for process in self.started:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
            process.wait()
            for pipe in (process.stdout, process.stderr):
                if pipe:
                    pipe.close()
        subprocess.run(["rm", "-rf", str(self.spool)], check=True)


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    one = Job(tmp_path)
    yield one
    for event in one.said():  # shown by pytest where the test has failed
        print(json.dumps(event)[:300])
    one.close()

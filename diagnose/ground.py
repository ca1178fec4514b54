"""Where drills run: a temporary folder of ours, and all that carries its name; swept when a drill is over."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn, Self

from diagnose.model import Record

STOP_S = 20.0  # `diagnose run` ends its command within 5 s of a SIGTERM; evidence may take some more
KEEPER = "/keeper.py"  # a copy of it lies beside each program
KEEPERS_S = 30.0  # what a keeper may take to undo what was done to the machine


class Ground(Record, frozen=True):
    """`top` is a temporary folder of ours, `root` takes the run directories, `prepared` what drills share."""

    top: Path
    root: Path
    prepared: Path

    @classmethod
    def below(cls, top: Path, root: Path | None = None, prepared: Path | None = None) -> Self:
        """All of it below one folder, but for what is given."""
        return cls(top=top, root=(root or top / "runs").absolute(), prepared=prepared or top / "prepared")

    @property
    def temporary(self) -> Path:
        return self.top / "t"

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        """The caller's own, less what an outer launcher left there."""
        outer = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
        own = {key: value for key, value in os.environ.items() if key not in outer}
        ours = {"TMPDIR": str(self.temporary), "OMP_NUM_THREADS": "1"}
        return {**own, **ours, "COMPILE_CACHES": str(self.prepared), **more}

    def clear(self) -> None:
        """End and undo everything, then remove the folder: never before the mounts in it are gone."""
        sweep(self.temporary, 0)
        if not kept(self.top, KEEPERS_S):
            shutil.rmtree(self.top, ignore_errors=True)


def commands() -> Iterator[tuple[int, bytes]]:
    """Every process with its command line."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):
                yield int(entry.name), (entry / "cmdline").read_bytes()


def carriers(temporary: Path) -> list[int]:
    """Processes whose environment names our temporary folder: all that a drill started, and nothing else."""
    mark = f"TMPDIR={temporary}".encode()
    found = []
    for pid, _ in commands():
        with suppress(OSError):
            if mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                found.append(pid)
    return found


def kept(top: Path, patience_s: float) -> list[str]:
    """Keepers of programs below `top` that are still at work after `patience_s`, each with its script."""
    end = time.monotonic() + patience_s
    while True:
        lines = [line.split(b"\0") for _, line in commands() if KEEPER.encode() in line]
        mine = [words for words in lines if any(word.startswith(bytes(top) + b"/") for word in words[4:])]
        if not mine or time.monotonic() > end:
            return [f"a keeper: {words[-2].decode(errors='replace')}" for words in mine]
        time.sleep(0.1)


def sweep(temporary: Path, patience_s: float) -> list[str]:
    """End what still runs after `patience_s`; each named. Waits until all of it is gone."""
    end = time.monotonic() + patience_s
    while carriers(temporary) and time.monotonic() < end:
        time.sleep(0.1)
    left: dict[int, str] = {}
    while pids := carriers(temporary):  # also what they start meanwhile
        for pid in pids:
            with suppress(OSError):
                line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                left.setdefault(pid, f"{line.strip()[:80]} ({pid})")
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    return list(left.values())


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM and SIGHUP raise, as Ctrl-C does, so that `finally` cleans up."""

    def interrupt(signum: int, frame: FrameType | None) -> NoReturn:
        sys.exit(128 + signum)

    old: dict[int, Callable[..., object] | int | None] = {
        number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def finish(process: subprocess.Popen[bytes], timeout_s: float) -> bool:
    """Wait for a process; past the time it is stopped, gently first. Whether it ended by itself."""
    try:
        process.wait(timeout_s)
        return True
    except subprocess.TimeoutExpired:
        return False
    finally:
        if process.poll() is None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_S)
        if process.poll() is None:
            process.kill()
            process.wait()

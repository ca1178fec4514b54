"""Processes beside and below `diagnose run`: its helpers, and all that carries the mark of the job."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from probes import files as probes_files

PROBES = Path(probes_files.__file__).parent
HOOK = PROBES / "rank_hook"
NUM_RESTARTS = 5
OURS = ("DIAGNOSE_SPOOL", "DIAGNOSE_RUN", "DIAGNOSE_ATTEMPT", "DIAGNOSE_MARK", "DIAGNOSE_PARENT_PID")


def environment() -> dict[str, str]:
    """What a probe is started with: it finds its modules, and is not taken for a process of the job."""
    kept = {key: value for key, value in os.environ.items() if key not in OURS}
    path = os.pathsep.join(p for p in (str(PROBES.parent), kept.get("PYTHONPATH", "")) if p)
    return {**kept, "PYTHONPATH": path}


def ask(name: str, arguments: Sequence[str], given: bytes, limit_s: float) -> tuple[int | None, bytes, str]:
    """Run a probe to its end: (code, what it printed, its errors). At the limit it is killed: code None."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", f"probes.{name}", *arguments],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=errors,
            start_new_session=True,
        )
        assert process.stdin
        with suppress(OSError), process.stdin:
            process.stdin.write(given)
        try:
            code: int | None = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            if process.poll() is None:  # in D state nobody can wait for it
                process.returncode = -signal.SIGKILL
        for file in (out, errors):
            file.seek(0)
        return code, out.read(), errors.read().decode(errors="replace")


class Helper:
    """A probe in a session of its own, started again when it dies."""

    def __init__(self, name: str, arguments: Sequence[str], errors: Path) -> None:
        self.name, self.errors, self.num_starts = name, errors, 0
        self.argv = [sys.executable, "-P", "-m", f"probes.{name}", *arguments]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it. Raises OSError."""
        self.num_starts += 1
        with self.errors.open("ab") as errors:
            self.process = subprocess.Popen(
                self.argv,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                start_new_session=True,
            )

    def look(self) -> int | None:
        """Start it again if it has died; the code it died with, else None."""
        if self.process is None or self.process.poll() is None:
            return None
        code, self.process = self.process.returncode, None
        if self.num_starts <= NUM_RESTARTS:
            with suppress(OSError):
                self.start()
        return code

    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def listens(self) -> bool | None:
        """Whether it has a handler for SIGTERM by now; None where the kernel does not tell (gVisor)."""
        with suppress(OSError, ValueError):
            caught = told(self.process.pid if self.process else 0).get("SigCgt")
            return None if caught is None else has(caught, signal.SIGTERM)
        return None

    def end(self, limit_s: float) -> bool:
        """Ask it to end, and wait; True if it ended well. One that does not answer is killed."""
        process, self.process = self.process, None
        if process is None:
            return False
        process.terminate()
        try:
            return process.wait(limit_s) == 0
        except subprocess.TimeoutExpired:
            process.kill()
            with suppress(subprocess.TimeoutExpired):
                process.wait(1)
            return False


def told(pid: int) -> dict[str, str]:
    """The fields of `/proc/PID/status`. Raises OSError."""
    lines = Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def has(mask: str, signum: int) -> bool:
    """Whether a mask of signals, as the kernel writes it in hexadecimal, holds one."""
    return bool(int(mask, 16) >> (signum - 1) & 1)


def is_held(pid: int) -> bool:
    """Whether a process is stopped, and a SIGTERM waits for it; where no mask is told (gVisor): stopped."""
    with suppress(OSError, ValueError):
        status = told(pid)
        masks = [status[name] for name in ("SigPnd", "ShdPnd") if name in status]
        return status.get("State", "")[:1] == "T" and (
            not masks or any(has(mask, signal.SIGTERM) for mask in masks)
        )
    return False


def marked(mark: str) -> list[int]:
    """Live processes that were started with DIAGNOSE_MARK=<mark>."""
    pair, found = f"DIAGNOSE_MARK={mark}".encode(), []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if pair in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return found


def of_job(mark: str, group: int = 0) -> list[int]:
    """The marked, and the live members of a process group: a child may have an environment of its own."""
    found = marked(mark)
    for entry in Path("/proc").iterdir() if group else ():
        with suppress(OSError, ValueError):
            state, _, owner = (entry / "stat").read_bytes().rpartition(b")")[2].split()[:3]
            if int(owner) == group and state not in b"ZX" and int(entry.name) not in found:
                found.append(int(entry.name))
    return found


def send(pids: Iterable[int], signum: int) -> None:
    for pid in pids:
        with suppress(OSError):
            os.kill(pid, signum)


def name_of(pid: int) -> str:
    """`pid comm state`, for people."""
    with suppress(OSError, IndexError):
        head, _, rest = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")
        return f"{pid} {head.partition(b'(')[2].decode(errors='replace')} {rest.split()[0].decode()}"
    return str(pid)


def end_marked(
    mark: str, grace_s: float, nap: Callable[[float], None] = time.sleep, group: int = 0
) -> tuple[list[int], list[str]]:
    """SIGTERM to all of the job, SIGKILL after `grace_s`: (pids ended, who stays)."""
    begun, seen, asked = time.monotonic(), set[int](), set[int]()
    while left := of_job(mark, group):
        late = time.monotonic() - begun - grace_s
        if late > 3.0:
            break
        seen |= set(left)
        if late >= 0:
            send(left, signal.SIGKILL)
        else:  # a stopped process takes its SIGTERM only when it runs again
            send([pid for pid in left if pid not in asked], signal.SIGTERM)
            send([pid for pid in left if pid not in asked], signal.SIGCONT)
            asked |= set(left)
        nap(0.05)
    return sorted(seen - set(left)), [name_of(pid) for pid in left]

"""Look at a run from outside: is its parent gone? Then its manifest says `lost`, and why."""

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path

from diagnose import manifest
from diagnose.children import Helper
from diagnose.contract import Manifest

OWNER = "run-dir.txt"  # in a spool: the run directory it belongs to
MARK = "mark.txt"  # and what the job's processes carry in DIAGNOSE_MARK
PATIENCE_S = 15.0  # the agent's grace for the job's processes, and the last seal


def boot_id() -> str:
    """The kernel's boot id; empty where it has none (gVisor)."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


def start_ticks(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None if it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return None if fields[0] in (b"Z", b"X") else int(fields[19])
    except (OSError, IndexError, ValueError):
        return None


def gone(found: Manifest, node: str) -> str:
    """Why the run's parent is certainly gone; empty if it lives, or one cannot know from here."""
    if found.pid is None or found.node != node:
        return ""
    if found.boot and (here := boot_id()) and here != found.boot:
        return "the machine was restarted while it ran"
    now = start_ticks(found.pid)
    if now is None or (found.start_ticks is not None and now != found.start_ticks):
        parent = "diagnose modal launch" if found.surface == "modal" else "diagnose run"
        return f"its `{parent}` (pid {found.pid}) is gone"
    return ""


def spool_of(run: Path, found: Manifest) -> Path | None:
    """The run's spool, if it is still there and says itself that it belongs to this run directory."""
    spool = Path(found.spool) if found.spool else None
    try:
        if spool is None or spool.stat().st_uid != os.getuid():
            return None
        return spool if (spool / OWNER).read_bytes() == os.fsencode(run.resolve()) else None
    except OSError:
        return None


def is_collecting(spool: Path) -> bool:
    """Whether a collector is at work on this spool."""
    try:
        with (spool / "collector.lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return False
    except BlockingIOError:
        return True
    except OSError:
        return False


def collect_rest(run: Path, found: Manifest) -> None:
    """Let the collector bring over what a killed run left in its spool; start one if there is none."""
    spool, end = spool_of(run, found), time.monotonic() + PATIENCE_S
    if spool is None or found.pid is None:
        return
    if not is_collecting(spool):
        arguments = ["--spool", str(spool), "--run-dir", str(run.resolve()), "--parent", str(found.pid)]
        with suppress(OSError):
            arguments += ["--mark", (spool / MARK).read_text()]
        with suppress(OSError):
            Helper("collector", arguments, spool / "collector.err").start()
    while spool.exists() and time.monotonic() < end:
        time.sleep(0.05)


def settle(run: Path, node: str) -> Manifest | None:
    """The manifest, `lost` written into it where that is certain (and the directory may be written)."""
    found = manifest.read(run)
    if found is not None and found.surface != "local":  # a platform has it: whoever asks there knows more
        return found
    is_over = found is not None and found.state in manifest.FINAL
    if found is None or (is_over and (run / "record.json").is_file()) or not (reason := gone(found, node)):
        return found
    collect_rest(run, found)
    if is_over:
        return found
    with suppress(OSError):
        manifest.advance(run, "lost", reason)
    return manifest.read(run) or found

"""Look at a run from outside: is its parent gone? Then its manifest says `lost`, and why."""

from contextlib import suppress
from pathlib import Path

from diagnose import manifest
from diagnose.contract import Manifest


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
        return f"its `diagnose run` (pid {found.pid}) is gone"
    return ""


def settle(run: Path, node: str) -> Manifest | None:
    """The manifest, `lost` written into it where that is certain (and the directory may be written)."""
    found = manifest.read(run)
    if found is None or found.state not in {"launching", "running"} or not (reason := gone(found, node)):
        return found
    with suppress(OSError):
        manifest.advance(run, "lost", reason)
    return manifest.read(run)

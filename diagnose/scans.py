"""Two scans of one process by the kernel's counters: what it used between them, and what holds it. Pure."""

from collections.abc import Sequence

import msgspec

from diagnose.model import Event

IDLE_CPU_S, IDLE_MAIN_S, IDLE_BYTES = 0.5, 0.2, 8192  # of a process that stands still
STOPPED = {"T", "t"}


def works(procs: Sequence[Event]) -> bool:
    """Whether the main thread computed or moved bytes between two scans; others work through a hang."""
    own, all_ = spent(procs, "main_cpu_s"), spent(procs, "cpu_s")
    busy = all_ is not None and all_ > IDLE_CPU_S if own is None else own > IDLE_MAIN_S
    return busy or moves_bytes(procs)


def moves_bytes(procs: Sequence[Event]) -> bool:
    """Whether the main thread read or wrote more between two scans than one that only asks whether it may."""
    return (spent(procs, "io_bytes") or 0) > IDLE_BYTES


def spent(procs: Sequence[Event], key: str) -> float | None:
    """What was used of one counter between the first and the last scan; None where it was not read."""
    values = [v for p in procs if isinstance(v := p.data.get(key), int | float)]
    return values[-1] - values[0] if len(values) > 1 else None


def deep(procs: Sequence[Event]) -> tuple[int, str] | None:
    """A thread that was in D state in both scans, while no bytes moved in its process; and its file."""
    told = [rows for p in procs if isinstance(rows := p.data.get("deep"), list)]
    seen = [dict(thread for row in rows if (thread := thread_of(row))) for rows in told]
    if len(seen) < 2 or (spent(procs, "total_io_bytes") or 0) > IDLE_BYTES:
        return None
    return next(((tid, file) for tid, file in seen[-1].items() if all(tid in one for one in seen)), None)


def thread_of(row: object) -> tuple[int, str] | None:
    """`[id, file]` of a thread; None for anything else."""
    if isinstance(row, list) and len(row) == 2 and isinstance(row[0], int):
        return row[0], str(row[1])
    return None


def without_main(event: Event) -> Event:
    """A process's state without what is of its main thread alone; that a signal stopped it holds for all."""
    keep = {
        "cpu_s": event.data.get("cpu_s"),
        "io_bytes": event.data.get("total_io_bytes"),
        "deep": event.data.get("deep"),
        "total_io_bytes": event.data.get("total_io_bytes"),
        "state": state if (state := str(event.data.get("state"))) in STOPPED else "",
    }
    return msgspec.structs.replace(event, data=keep)

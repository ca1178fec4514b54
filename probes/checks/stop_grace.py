"""How long the last evidence takes to disk after a stop signal, against the time the platform leaves."""

import os
import signal
import tempfile
import time
from collections.abc import Callable
from functools import partial

from probes import deadline
from probes.checking import file_systems, places
from probes.checking.check import Check, Measurement, Target, measured

CHECK = Check(
    limit_s=45.0,
    cost=("signals", "writes_disk"),
    told_by="file_systems_answer",
    shares=file_systems.answers,
    asks={
        "platform_grace_s": "seconds between the platform's stop signal and its SIGKILL (default: its own)"
    },
)
LIMIT_S = 40.0
NUM_BYTES = 8 << 20  # the last events and stacks of eight ranks
MOST = 3


def measure(target: Target) -> list[Measurement]:
    """A child of ours is stopped as the platform would, and then writes."""
    platform = places.platform(target.environ)
    signum = signal.SIGINT if platform == "modal" else signal.SIGTERM
    grace = places.settings(target).get("platform_grace_s")
    root = target.environ.get("DIAGNOSE_ROOT") or os.getcwd()
    paths, found = file_systems.answering([root, *target.folders], target)
    for path, there in list(places.apart(paths).items())[:MOST]:
        told = stopped(signum, partial(flush, there))
        took, refusal = (float(told[0]), told[1]) if told else (LIMIT_S, f"not done after {LIMIT_S:g} s")
        found.append(
            measured(
                path,
                f"{signum.name} to a child that writes {NUM_BYTES >> 20} MiB to {there}, and fsync",
                platform=platform,
                refusal=refusal,
                flush_s=round(took, 3),
                grace_s=grace,
                flush_per_grace=took / grace if grace else None,
            )
        )
    return found


def stopped(signum: signal.Signals, flush: Callable[[], str]) -> tuple[str, str] | None:
    """Seconds from the signal to the end of the flush, and its refusal; None where it never ended."""

    def work(fd: int) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, [signum])
        os.write(fd, b"ready\n")
        signal.sigwait([signum])
        begun = time.monotonic()
        os.write(fd, f"{flush()}\n{time.monotonic() - begun}".encode())

    child = deadline.fork(work)
    data = b""
    try:
        while part := deadline.hear(child, LIMIT_S):
            if not data:
                os.kill(child.pid, signum)
            data += part
    finally:
        deadline.end(child)
    words = data.decode(errors="replace").split("\n")
    return (words[2], words[1]) if len(words) == 3 else None


def flush(folder: str) -> str:
    """Why it could not be written; empty where it is on disk. The file has no name: it never stays."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(os.urandom(NUM_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.strerror or str(error)
    return ""

"""What this container offers to those who look into it: taken once, before anything goes wrong.

Where a kernel is not the kernel (gVisor) an empty file is no sign of health. Each thing that a probe would
use is tried on a child of ours, or read, within a deadline: present, absent or refused, and why.
"""

import argparse
import json
import os
import select
import sys
import time
from collections.abc import Callable, Iterator

from probes import deadline, layout
from probes.emit import open_log
from probes.files import atomic_write
from probes.offered import files, gpus, kernel, tracing
from probes.offered.item import Item
from probes.redact import redact_value

LIMITS_S = {kernel: 2.0, files: 3.0, tracing: 12.0, gpus: 7.0}


def capture() -> list[Item]:
    """Everything, asked in children that may hang. Only for processes without threads."""
    return [item for module, limit_s in LIMITS_S.items() for item in bounded(module.items, limit_s)]


def bounded(ask: Callable[[], Iterator[Item]], limit_s: float) -> list[Item]:
    """The answers that came within the time: each is written as soon as it is there."""

    def tell(fd: int) -> None:
        for item in ask():
            os.write(fd, json.dumps(item, default=str).encode() + b"\n")
        os.write(fd, b"null\n")

    child, data, end = deadline.fork(tell), b"", time.monotonic() + limit_s
    while (left := end - time.monotonic()) > 0 and select.select([child.fd], [], [], left)[0]:
        part = os.read(child.fd, 65536)
        data += part
        if not part:
            break
    deadline.end(child)
    lines = [json.loads(line) for line in data.splitlines(keepends=True) if line.endswith(b"\n")]
    found = [Item(*one) for one in lines if one]
    if None not in lines:
        why = f"no answer within {limit_s:.0f} s" if time.monotonic() >= end else "it broke off"
        behind = f" behind {found[-1].name}" if found else ""
        found.append(Item(ask.__module__.rpartition(".")[2], "refused", reason=why + behind))
    return found


def path_of(run: str, attempt: str) -> str:
    """Where it lies in a run directory."""
    return os.path.join(layout.attempt_dir(run, attempt), "host", "environment.json")


def write(path: str) -> None:
    """Capture, and put it there. Raises OSError."""
    found = [redact_value(item._asdict()) for item in capture()]
    document = {"version": 1, "time": round(time.time(), 3), "node": os.uname().nodename, "items": found}
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    atomic_write(path, json.dumps(document, indent=1).encode())


def main(argv: list[str] | None = None) -> int:
    """Record what this container offers: prints event lines, or writes one file."""
    parser = argparse.ArgumentParser(prog="python -m probes.environment", description=main.__doc__)
    parser.add_argument("--out", metavar="PATH", help="write this file instead (JSON)")
    given = parser.parse_args(argv)
    if given.out:
        write(given.out)
        return 0
    log = open_log("environment")
    for item in capture():
        log.info(
            "environment.captured", item=item.name, state=item.state, value=item.value, reason=item.reason
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())

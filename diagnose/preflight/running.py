"""Start the probe that makes the checks, hear what it says, and end it: `python -m probes.checking`."""

import os
import re
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from diagnose.children import environment
from diagnose.preflight.measured import Measured, Target, of_lines

PROBE = [sys.executable, "-P", "-m", "probes.checking"]
GRACE_S = 5.0  # beyond the budget, and after an interruption, until the probe is killed


class Refused(Exception):
    """The probe does not take these options. The message says why."""


class Wish(NamedTuple):
    """What is to be made."""

    checks: Sequence[str]
    target: Target
    budget_s: float
    without: Sequence[str] = ()  # costs
    lines: Path | None = None  # where what the probe says is kept as it comes: who waits may be killed


Told = Callable[[int, str], None]  # (checks made, the check that began last)


def run(wish: Wish, told: Told) -> Measured:
    """Make the checks. An interruption ends them and gives what there is by then. Raises Refused, OSError."""
    target = {k: v for k, v in msgspec.to_builtins(wish.target).items() if v}
    options = ["--target", msgspec.json.encode(target).decode(), "--budget", str(wish.budget_s)]
    options += ["--without", ",".join(wish.without), "--with-parent"]
    lines = Lines(wish.lines)
    process = subprocess.Popen(
        [*PROBE, *options, *wish.checks],
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    is_cut = False
    try:
        try:
            hear(process, lines, wish.budget_s + GRACE_S, told)
        except KeyboardInterrupt:
            is_cut = True
            with suppress(OSError):
                process.send_signal(signal.SIGTERM)
            with suppress(KeyboardInterrupt):
                hear(process, lines, GRACE_S, told)
    finally:
        errors = finish(process)
        lines.close()
    if process.returncode == 2:
        raise Refused(errors.removeprefix("checks: ") or "the probe refused its options")
    found = of_lines(lines, wish.checks)
    return msgspec.structs.replace(found, how="interrupted") if is_cut else found


class Lines(list[bytes]):
    """What the probe says, a line each; also in a file, where one is given."""

    def __init__(self, path: Path | None) -> None:
        super().__init__()
        self.file = path.open("wb", buffering=0) if path else None

    def append(self, line: bytes) -> None:
        super().append(line)
        if self.file:
            with suppress(OSError):
                self.file.write(line + b"\n")

    def close(self) -> None:
        if self.file:
            self.file.close()


def hear(process: subprocess.Popen[bytes], lines: Lines, limit_s: float, told: Told) -> None:
    """Add the lines that the probe prints, until it has ended or the time is over."""
    assert process.stdout
    end, held = time.monotonic() + limit_s, b""
    num_made, last = 0, ""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while (left := end - time.monotonic()) > 0:
            if not selector.select(min(left, 0.5)):
                continue
            part = os.read(process.stdout.fileno(), 65536)
            if not part:
                return
            *whole, held = (held + part).split(b"\n")
            for line in whole:
                lines.append(line)
                num_made += b'"event":"check.made"' in line
                begun = re.search(rb'"event":"check\.started".*?"check":"(\w+)"', line)
                last = begun[1].decode() if begun else last
            told(num_made, last)


def finish(process: subprocess.Popen[bytes]) -> str:
    """End the probe, whatever it does; the last line of its errors."""
    assert process.stdout and process.stderr
    with suppress(subprocess.TimeoutExpired):
        process.wait(0.5)
    if process.poll() is None:
        process.kill()
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.5)
    process.stdout.close()
    with process.stderr as stream:
        text = stream.read(4096).decode(errors="replace").strip() if process.poll() is not None else ""
    if process.returncode is None:
        process.returncode = -signal.SIGKILL  # in D state nobody can wait for it
    return text.splitlines()[-1] if text else ""

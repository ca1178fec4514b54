"""A process of the job's own interpreter that only waits: what reads stacks is tried on it."""

import os
import select
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from probes import deadline
from probes.checking.check import Target
from probes.checking.interpreter import NoAnswer

START_S = 6.0
FUNCTION = "waits_here"  # what its stack shows
PROGRAM = f"""
import os, signal, time
def {FUNCTION}():
    os.write(1, b"ready\\n")
    time.sleep(60)
{FUNCTION}()
"""


@contextmanager
def asleep(target: Target, more: Mapping[str, str] = {}) -> Iterator[int]:
    """Its pid, once it waits; it is killed at the end. Raises NoAnswer, OSError."""
    process = subprocess.Popen(
        [target.python, "-c", PROGRAM],
        env={**target.environ, **more},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdout
    try:
        ready, _, _ = select.select([process.stdout], [], [], START_S)
        if not ready or b"ready" not in os.read(process.stdout.fileno(), 4096):
            raise NoAnswer(f"{target.python} did not start within {START_S:g} s", in_time=False)
        yield process.pid
    finally:
        deadline.kill_group(process.pid)
        process.stdout.close()
        process.wait()

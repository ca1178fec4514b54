"""A cache seeded from the good archive, and captured from; also by a child, which may be killed."""

import json
import os
import signal
from pathlib import Path

from diagnose.caching import capture, seed
from tests.caching.conftest import CARRIED, FILES, HERE, KEY, content

GROUP = f"{KEY}/__grp__kernel.json"
LIMIT_S = 60  # a child that hangs fails its test


def seeded(good, cold, limits, **more):
    return seed.seed(cold, [good.parent], HERE, limits, **more)


def is_whole(folder: Path) -> bool:
    """Whether it holds just what the archive held, with Triton's paths made to fit."""
    found = content(folder)
    group = json.loads(found.pop(GROUP, b"{}"))
    return (
        group == {"child_paths": {"kernel.cubin": str(folder / KEY / "kernel.cubin")}}
        and found == {name: FILES[name] for name in CARRIED - {GROUP}}
    )  # fmt: skip


def captured(warm, limits, folder):
    return capture.capture(warm, capture.describe(warm, HERE, limits, "training", ""), folder)


def begin(work, *arguments) -> int:
    """Run it in a child, which never comes back here; its process id."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            signal.alarm(LIMIT_S)
            work(*arguments)
            code = 0
        finally:
            os._exit(code)
    return pid


def ended(pid: int) -> int:
    """The exit code of a child once it has ended; minus the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def in_child(work, *arguments) -> int:
    return ended(begin(work, *arguments))

"""How far a long reading is, in one line on the terminal that is wiped at the end."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from diagnose.pipeline import Told
from diagnose.terminal import Screen

QUIET_S = 1.0  # what is done by then is not worth a line
EVERY_S = 0.1


@contextmanager
def line(what: str) -> Iterator[Told]:
    """Gives what to call with (read, all): `reading RUN: 312 of 1024 files, 7 s`."""
    screen, begun = Screen(), time.monotonic()
    shown = begun + QUIET_S

    def told(num_read: int, num: int) -> None:
        nonlocal shown
        now = time.monotonic()
        if now - shown >= EVERY_S:
            shown = now
            screen.progress(f"reading {what}: {num_read} of {num} files, {now - begun:.0f} s")

    try:
        yield told
    finally:
        screen.wipe()

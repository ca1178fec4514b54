"""Waits for the end of a run on Modal that was asked for from here, for so long at most."""

import time
from collections.abc import Callable
from pathlib import Path

from diagnose import manifest
from diagnose.render.rows import clock
from diagnose.surfaces.modal import looks
from diagnose.surfaces.modal.outcome import Unreachable

EVERY_S, STOPPED_S = 2.0, 30.0


def wait(run: Path, queue_s: float, limit_s: float, told: Callable[[str], None]) -> str:
    """Look until it is over; why it was given up, if it was. `told`: where it stands, time and again.

    `queue_s`: until a container begins; `limit_s`: for each container. Raises Unreachable at the first look.
    """
    begun, newest, is_asked = time.monotonic(), "", False
    while True:
        try:
            seen = looks.look(run)
            is_asked = True
        except Unreachable:
            if not is_asked:
                raise
            told("Modal cannot be asked now")
        else:
            if seen.manifest.state in {*manifest.FINAL, "lost"} and not looks.may_come(seen):
                return ""
            name = seen.attempts[-1].name if seen.attempts else ""
            if name != newest:
                newest, begun = name, time.monotonic()
            told(f"in {newest}" if newest else "waiting for a container")
        if time.monotonic() - begun > (limit_s if newest else queue_s):
            return (
                f"{newest} has not ended within {clock(limit_s)}"
                if newest
                else f"no container began within {clock(queue_s)}"
            )
        time.sleep(EVERY_S)


def stop(run: Path, at_once: bool) -> str:
    """Have Modal end it, and fetch what it pushes then; why that could not be, if it could not."""
    try:
        looks.stop(run, at_once)
        wait(run, STOPPED_S, STOPPED_S, lambda _: None)
    except Unreachable as error:
        return str(error)
    return ""

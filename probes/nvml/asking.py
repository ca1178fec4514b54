"""Ask NVML a list of questions in a child: what never comes back costs one deadline, the rest is used.

A child in which a call hangs is killed, not awaited (in D state nobody can). The next one asks what is left
without that question; a second hang ends the asking.
"""

import json
import os
import selectors
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from probes import deadline
from probes.nvml.answering import INIT, SYSTEM, Key, Question, answer

QUESTION_S = 3.0  # at most, for one question about one GPU, once NVML has answered at all
MOST_HANGS = 2


class Asked(NamedTuple):
    """All that NVML said. `error`: why it could not be asked at all; `hung`: it did not answer in time."""

    error: str = ""
    hung: bool = False
    said: Mapping[Key, Any] = {}
    errors: Mapping[Key, str] = {}  # NVML's name of the error, or that it hung
    only: tuple[int, ...] | None = None  # the GPUs that the job may see, where it may not see all

    @property
    def num_gpus(self) -> int:
        return self.of("count") or 0

    @property
    def gpus(self) -> tuple[int, ...]:
        """Those that the job may see."""
        return tuple(range(self.num_gpus)) if self.only is None else self.only

    def of(self, question: str, gpu: int = SYSTEM) -> Any:
        """The answer; None where there is none."""
        return self.said.get((question, gpu))


def ask(
    system: Mapping[str, Question], gpu: Mapping[str, Question], init_s: float, waits_s: float = 0.0
) -> Asked:
    """`system` once, `gpu` of every GPU. Returns at most `init_s` and MOST_HANGS * QUESTION_S later.

    `waits_s`: a question may wait for so long by itself.
    """
    said: dict[Key, Any] = {}
    errors: dict[Key, str] = {}
    for _ in range(MOST_HANGS):
        done = {*errors, *(key for key in said if key[0] != "handle")}  # each child opens its own
        at, late = _hear(partial(answer, system, gpu, done), init_s, waits_s, said, errors)
        if late and at == INIT and INIT not in said:
            return Asked(late, late.startswith("no answer"))
        if INIT in errors:
            return Asked(errors[INIT])
        if not late:
            break
        name, num = at
        errors[at] = late
        for other in range(num + 1, said.get(("count", SYSTEM)) or 0):
            errors.setdefault((name, other), f"not asked: there was no answer for GPU {num}")
    return Asked("", False, said, errors)


def _hear(
    child_says: Callable[[int], None],
    init_s: float,
    waits_s: float,
    said: dict[Key, Any],
    errors: dict[Key, str],
) -> tuple[Key, str]:
    """Take in what a child says. What it asked last, and why that has no answer ("": it came to its end)."""
    at, held, since = INIT, b"", time.monotonic()
    child = deadline.fork(child_says)
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(child.fd, selectors.EVENT_READ)
            while True:
                limit_s = init_s if at == INIT else min(QUESTION_S, init_s) + waits_s
                if not selector.select(max(0.0, since + limit_s - time.monotonic())):
                    return at, f"no answer within {limit_s:g} s"
                part = os.read(child.fd, 65536)
                *lines, held = (held + part).split(b"\n")
                for line in lines:
                    name, gpu, has_answer, value, error = json.loads(line)
                    at, begun, since = (name, gpu), since, time.monotonic()
                    if error:
                        errors[at] = error
                    elif has_answer:
                        said.setdefault(at, round(since - begun, 3) if at == INIT else value)
                if not part:
                    return at, "" if at[0] == "end" or INIT in errors else "the process that asked it died"
    finally:
        deadline.end(child)

"""Questions that only the job's own interpreter can answer: what it imports, and of which version."""

import json
from typing import Any

from probes import deadline
from probes.checking.check import Target


class NoAnswer(Exception):
    """The interpreter did not say. The message says why; `in_time` is False at the deadline."""

    def __init__(self, reason: str, in_time: bool = True) -> None:
        super().__init__(reason)
        self.in_time = in_time


def ask(target: Target, program: str, limit_s: float) -> Any:
    """The JSON value that a program prints last, run by the job's Python in its environment. Raises NoAnswer.

    To import torch takes seconds: checks that need it share a lane, and cache what they asked for.

    >>> import sys
    >>> ask(Target({}, python=sys.executable), "print('noise'); print('[1, 2]')", 20.0)
    [1, 2]
    """
    done = deadline.run([target.python, "-c", program], limit_s, target.environ)
    if done.timed_out:
        raise NoAnswer(f"no answer within {limit_s:g} s", in_time=False)
    lines = done.stdout.decode(errors="replace").strip().splitlines()
    try:
        return json.loads(lines[-1]) if done.code == 0 and lines else refuse(target, done.stderr)
    except ValueError:
        return refuse(target, b"")


def refuse(target: Target, errors: bytes) -> Any:
    said = errors.decode(errors="replace").strip().splitlines()
    raise NoAnswer(said[-1][:300] if said else f"{target.python} printed no JSON")

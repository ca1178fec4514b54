"""One check, really made in this process, and judged."""

import contextlib
import os
import random
import socket
import sys
from collections.abc import Callable

import msgspec
import pytest

from diagnose.preflight import book
from diagnose.preflight.judging import judge
from diagnose.preflight.measured import Machine, Made, Measured
from diagnose.preflight.measured import Target as Told
from diagnose.preflight.report import Result
from probes import deadline
from probes.checking import lanes
from probes.checking.__main__ import chosen
from probes.checking.check import Target

BOOK = book.load()


def target(**given: object) -> Target:
    """Environment variables in capitals, and Target's fields."""
    environ = {name: str(given.pop(name)) for name in list(given) if name.isupper()}
    base = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return Target(**{"python": sys.executable, "environ": {**base, **environ}, **given})  # type: ignore[arg-type]


def make(name: str, on: Target) -> Result:
    """The result; a check that breaks breaks the test."""
    work = next(work for work in chosen([name]) if work.name == name)
    said = lanes.made(work, on)
    assert "error" not in said, said
    made = msgspec.convert({"check": name, "took_s": 0.0, **said}, Made)
    told = Told(num_ranks=on.num_ranks, num_nodes=on.num_nodes)
    [result] = judge(Measured("host", 0.0, 0.1, "ended", Machine("linux"), told, [made]), BOOK).checks
    return result


def outcome(name: str, on: Target | None = None) -> str:
    return make(name, on or target()).outcome


def crossed(result: Result) -> set[str]:
    """The texts of the thresholds that were crossed."""
    return {one.text for part in result.subjects for one in part.crossed}


def in_child(function: Callable[[], str]) -> str:
    """What a function returns in a forked child, whose limits and rights it may change."""
    told = deadline.call(lambda: function().encode(), 90.0)
    assert told is not None, "the child ended without an answer"
    return told.decode()


def free_port() -> int:
    """A port below those that the kernel hands out: nobody takes it meanwhile."""
    for port in random.sample(range(15_000, 32_000), 100):
        with contextlib.suppress(OSError), socket.create_server(("", port)):
            return port
    raise OSError("no port is free")


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

"""Deadlines without a stopwatch: which were handed down, and how long a module waited in vain."""

import selectors
import time
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from probes import deadline


def handed(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The deadlines that are handed down from now on; each is kept as ever."""
    limits: list[float] = []
    real = deadline.call

    def call(function: Callable[[], bytes], limit_s: float) -> bytes | None:
        limits.append(limit_s)
        return real(function, limit_s)

    monkeypatch.setattr(deadline, "call", call)
    return limits


def cpu_s(work: Callable[[], object]) -> float:
    """The least CPU time of three goes: to be set beside another's, never beside a number."""

    def go() -> float:
        begun = time.process_time()
        work()
        return time.process_time() - begun

    return min(go() for _ in range(3))


class Waited:
    """A module's clock: it goes on by what the module waits in vain, and by nothing else."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
        self.seconds += seconds


def waited(monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> Waited:
    """Give a module that waits with selectors such a clock."""
    clock = Waited()

    class Selector(selectors.DefaultSelector):
        def select(self, timeout: float | None = None) -> Any:
            ready = super().select(timeout)
            clock.seconds += 0.0 if ready else timeout or 0.0
            return ready

    given = SimpleNamespace(DefaultSelector=Selector, EVENT_READ=selectors.EVENT_READ)
    monkeypatch.setattr(module, "selectors", given)
    monkeypatch.setattr(module, "time", clock)
    return clock

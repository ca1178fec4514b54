"""What a program may say of itself: optional, a store or two, and nothing at all outside a run.

`probes.step()` ends a step where no optimizer of torch tells, `with probes.phase("eval"):` names a long
phase, `probes.note(lane="training", dataset="c4-v3")` goes into the run record.
"""

import sys
from types import TracebackType
from typing import Any

_HOOK = "diagnose_rank.session"  # as the hook is called in a rank; not there: no run
_found: Any = None


def _hook() -> Any:
    """The hook's part that takes what a program says; None outside a run. Raises nothing."""
    global _found
    if _HOOK not in sys.modules:
        return None
    try:
        _found = __import__("diagnose_rank.telling", None, None, ["step"])
    except Exception:  # the program comes first
        return None
    return _found


class _Phase:
    """An open phase; also one that nobody follows."""

    __slots__ = ("_leave",)

    def __init__(self, leave: Any = None) -> None:
        self._leave = leave

    def __enter__(self) -> "_Phase":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._leave is not None:
            self.end()

    def end(self) -> None:
        """The phase is over; once."""
        leave, self._leave = self._leave, None
        if leave is not None:
            try:
                leave()
            except Exception:  # the program comes first
                pass


_NOBODY = _Phase()


def step() -> None:
    """A training step has ended."""
    hook = _found or _hook()
    if hook is not None:
        try:
            hook.step()
        except Exception:
            pass


def phase(name: str) -> _Phase:
    """A phase that may be long begins (`eval`, `checkpoint`, `load`, any word); `with` or `end()` ends it."""
    hook = _found or _hook()
    if hook is None:
        return _NOBODY
    try:
        hook.enter(name)
        return _Phase(hook.leave)
    except Exception:
        return _NOBODY


def note(**data: object) -> None:
    """Plain values for the run record: `lane`, a dataset, a commit. A later value of a name counts."""
    hook = _found or _hook()
    if hook is not None:
        try:
            hook.note(data)
        except Exception:
            pass

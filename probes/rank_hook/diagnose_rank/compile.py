"""Phases of the compiler, from its own start and end callbacks. It is never imported from here."""

import os
import sys
from time import monotonic

from .session import emit, me

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

_CACHES = {"inductor_cache": "TORCHINDUCTOR_CACHE_DIR", "triton_cache": "TRITON_CACHE_DIR"}
_PHASES = {"DYNAMO": 2, "LAZY_BACKWARD": 3, "CUDAGRAPH_RECORDING": 4}
_running: "list[tuple[str, int, float, BaseException | None]]" = []
_counts: "dict[str, int]" = {}


def patch(module: "ModuleType") -> None:
    """`module` is torch._dynamo.callback."""
    handler = module.callback_handler
    original = handler.clear

    def clear(*args: object, **kwargs: object) -> object:
        try:
            return original(*args, **kwargs)
        finally:
            _register(handler)

    _register(handler)
    handler.clear = clear  # torch._dynamo.reset() would leave us deaf


def _register(handler: "Any") -> None:
    for callbacks, ours in ((handler.start_callbacks, _start), (handler.end_callbacks, _end)):
        if ours not in callbacks:
            callbacks.append(ours)


def _start(*args: object, **kwargs: object) -> None:
    try:
        if not me.is_rank():
            return
        from .state import PHASES

        trigger = getattr(getattr(args[0], "callback_trigger", None), "name", "DYNAMO") if args else "DYNAMO"
        number = _PHASES.get(trigger, 0)
        phase = PHASES[number] if number else trigger.lower()
        _counts[phase] = num = _counts.get(phase, 0) + 1
        _running.append((phase, num, monotonic(), sys.exc_info()[1]))
        if me.page is not None:
            me.page.enter(number or 2)
        # Programs set these after their start, where nobody outside can read them.
        told: "dict[str, Any]" = {
            key: path for key, name in _CACHES.items() if (path := os.environ.get(name))
        }
        if number == 2:
            told["regional"] = _is_regional()
        emit(
            "phase.started", phase=phase, num=num, step=None if me.page is None else me.page.num_steps, **told
        )
    except Exception:  # it would end the program's compilation
        pass


def _end(*args: object, **kwargs: object) -> None:
    try:
        if not _running or not me.is_rank():
            return
        phase, num, began, error = _running.pop()
        seconds = monotonic() - began
        if me.page is not None:
            me.page.add_compile(seconds)
            me.page.enter(me.phase)
        emit("phase.ended", phase=phase, num=num, seconds=round(seconds, 3), ok=sys.exc_info()[1] is error)
    except Exception:
        pass


def _is_regional() -> "bool | None":
    """Is this part of a model whose own forward runs eagerly? None where no compiled call is seen."""
    frame, is_seen, is_inner = sys._getframe(2), False, False
    while frame is not None:
        code = frame.f_code
        if code.co_filename.endswith("torch/_dynamo/eval_frame.py"):
            is_seen, is_inner = True, False
        elif is_seen and code.co_name == "forward" and not _is_wrapper(code.co_filename):
            is_inner = True
        frame = frame.f_back  # type: ignore[assignment]
    return is_inner if is_seen else None


def _is_wrapper(path: str) -> bool:
    return "/torch/nn/parallel/" in path or "/torch/distributed/" in path or "/torch/_dynamo/" in path

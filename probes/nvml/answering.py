"""The child that asks NVML: before each question it says which, so that its parent knows where it hangs.

A line is `[question, GPU, whether this is the answer, value, error]`.
"""

import json
import os
from collections.abc import Callable, Mapping, Set
from types import ModuleType
from typing import Any

SYSTEM = -1  # stands for a GPU in a question about all of them
INIT = ("init", SYSTEM)
Question = Callable[[ModuleType, Any, int], Any]  # (pynvml, handle, index) -> what JSON can hold
Key = tuple[str, int]  # question, GPU


def answer(system: Mapping[str, Question], gpus: Mapping[str, Question], done: Set[Key], fd: int) -> None:
    """Ask what is not done yet, question by question: where one hangs, few others are missing."""
    try:
        import pynvml as nvml

        nvml.nvmlInit()
    except ModuleNotFoundError as error:
        return tell(fd, *INIT, True, None, f"no module {error.name}")
    except Exception as error:
        return tell(fd, *INIT, True, None, error_name(error))
    tell(fd, *INIT, True, True)

    def put(name: str, gpu: int, question: Question, handle: Any = None) -> Any:
        tell(fd, name, gpu, False)
        try:
            value = question(nvml, handle, gpu)
        except Exception as error:
            tell(fd, name, gpu, True, None, error_name(error))
            return None
        tell(fd, name, gpu, True, True if name == "handle" else value)
        return value

    for name, question in {"count": lambda n, h, i: n.nvmlDeviceGetCount(), **system}.items():
        if (name, SYSTEM) not in done:
            put(name, SYSTEM, question)
    count = maybe(nvml.nvmlDeviceGetCount) or 0
    handles = {
        gpu: put("handle", gpu, lambda n, h, i: n.nvmlDeviceGetHandleByIndex(i))
        for gpu in range(count)
        if ("handle", gpu) not in done
    }
    for name, question in gpus.items():
        for gpu, handle in handles.items():
            if handle is not None and (name, gpu) not in done:
                put(name, gpu, question, handle)
    return tell(fd, "end", SYSTEM, False)


def tell(fd: int, name: str, gpu: int, has_answer: bool, value: Any = None, error: str = "") -> None:
    view = memoryview(json.dumps([name, gpu, has_answer, value, error], default=plain).encode() + b"\n")
    while view:
        view = view[os.write(fd, view) :]


def plain(value: object) -> str:
    """What JSON has no form for: the bindings give some texts as bytes."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def maybe(call: Callable[..., Any], *arguments: Any) -> Any:
    """An answer that not every GPU gives: None where it refuses."""
    import pynvml

    try:
        return call(*arguments)
    except pynvml.NVMLError:
        return None


def error_name(error: Exception) -> str:
    """`NOT_SUPPORTED` for one of NVML's errors, else what Python says."""
    import pynvml as nvml

    code = getattr(error, "value", None)
    if not isinstance(error, nvml.NVMLError):
        return f"{type(error).__name__}: {error}"[:200]
    names = (name for name, value in vars(nvml).items() if name.startswith("NVML_ERROR_") and value == code)
    return next(names, f"error {code}").removeprefix("NVML_ERROR_")

"""Ask NVML a list of questions, in a child with a deadline: what never comes back costs one deadline, the rest is used.

A child in which a call hangs is killed and not awaited (in D state nobody can); the next one asks what is left, but no
longer that question. A second hang ends the asking.
"""

import json
import os
import selectors
import time
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, NamedTuple

from probes import deadline

QUESTION_S = 3.0  # for one question about one GPU, once NVML has answered at all
MOST_HANGS = 2
SYSTEM = -1  # stands for a GPU in a question about all of them
INIT = ("init", SYSTEM)

Question = Callable[[ModuleType, Any, int], Any]  # (pynvml, handle, index) -> what JSON can hold
Key = tuple[str, int]  # question, GPU


class Asked(NamedTuple):
    """All that NVML said. `error` is empty where it could be asked at all; `hung`: no answer by the deadline."""

    error: str = ""
    hung: bool = False
    said: Mapping[Key, Any] = {}
    errors: Mapping[Key, str] = {}  # NVML's name of the error, or that it hung

    @property
    def num_gpus(self) -> int:
        return self.of("count") or 0

    def of(self, question: str, gpu: int = SYSTEM) -> Any:
        """The answer; None where there is none."""
        return self.said.get((question, gpu))


def ask(
    system: Mapping[str, Question], gpu: Mapping[str, Question], init_s: float, waits_s: float = 0.0
) -> Asked:
    """`system` once, `gpu` of every GPU. Always returns: at most `init_s` and MOST_HANGS * QUESTION_S later.

    `waits_s`: a question may wait for so long by itself.
    """
    said: dict[Key, Any] = {}
    errors: dict[Key, str] = {}
    for _ in range(MOST_HANGS):
        at, late = _hear(lambda fd: _answer(system, gpu, said, errors, fd), init_s, waits_s, said, errors)
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
    answer: Callable[[int], None],
    init_s: float,
    waits_s: float,
    said: dict[Key, Any],
    errors: dict[Key, str],
) -> tuple[Key, str]:
    """Take in what one child says: what it asked last, and why that has no answer ("": it came to its end)."""
    at, held, since = INIT, b"", time.monotonic()
    child = deadline.fork(answer)
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(child.fd, selectors.EVENT_READ)
            while True:
                limit_s = init_s if at == INIT else QUESTION_S + waits_s
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


def _answer(
    system: Mapping[str, Question],
    gpus: Mapping[str, Question],
    said: Mapping[Key, Any],
    errors: Mapping[Key, str],
    fd: int,
) -> None:
    """In the child: ask what has no answer yet, and say so before each question."""

    def tell(*line: Any) -> None:
        view = memoryview(json.dumps(line, default=plain).encode() + b"\n")
        while view:
            view = view[os.write(fd, view) :]

    def put(name: str, gpu: int, question: Question, handle: Any = None) -> Any:
        tell(name, gpu, False, None, "")
        try:
            value = question(nvml, handle, gpu)
        except Exception as error:
            tell(name, gpu, True, None, error_name(error))
            return None
        shown = value if name != "handle" else True
        tell(name, gpu, True, shown, "")
        return value

    try:
        import pynvml as nvml

        nvml.nvmlInit()
    except ModuleNotFoundError as error:
        return tell(*INIT, True, None, f"no module {error.name}")
    except Exception as error:
        return tell(*INIT, True, None, error_name(error))
    tell(*INIT, True, True, "")
    for name, question in {"count": lambda n, h, i: n.nvmlDeviceGetCount(), **system}.items():
        if (name, SYSTEM) not in said and (name, SYSTEM) not in errors:
            put(name, SYSTEM, question)
    count = 0 if ("count", SYSTEM) in errors else maybe(nvml.nvmlDeviceGetCount) or 0
    opened = {
        num: put("handle", num, lambda n, h, i: n.nvmlDeviceGetHandleByIndex(i))
        for num in range(count)
        if ("handle", num) not in errors
    }
    for name, question in gpus.items():
        for num, handle in opened.items():
            if handle is not None and (name, num) not in said and (name, num) not in errors:
                put(name, num, question, handle)
    tell("end", SYSTEM, False, None, "")
    return None


def plain(value: object) -> str:
    """What JSON has no form for: the bindings give some texts as bytes."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def maybe(call: Callable[[], Any]) -> Any:
    """An answer that not every GPU gives: None where it refuses."""
    import pynvml

    try:
        return call()
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

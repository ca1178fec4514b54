"""All GPUs under load for some seconds, while NVML is asked what that does to them: once for all checks."""

import json
import os
import time
from collections.abc import Mapping
from typing import Any

from probes import deadline
from probes.checking.check import Target
from probes.cuda import reading
from probes.nvml import questions
from probes.nvml import reading as nvml
from probes.nvml.asking import ask

PROGRAM = os.path.join(os.path.dirname(__file__), "load.py")
LOAD_S, START_S = 8.0, 60.0  # torch starts, then there is load
CHECK = reading.CHECK._replace(
    level="deep", limit_s=START_S + LOAD_S + 60, cost=("gpu_memory", "kernels"), lane="load"
)
ASKED = ("reasons", "clocks", "pcie", "temperature")
_said: dict[str, dict[int, dict[str, Any]]] = {}


def loaded(target: Target) -> dict[int, dict[str, Any]]:
    """For each GPU what its program said, and under `nvml` what NVML said meanwhile."""
    if target.python not in _said:
        _said[target.python] = make(target)
    return _said[target.python]


def make(target: Target) -> dict[int, dict[str, Any]]:
    asked = nvml.answers(target)
    if asked.error:
        return {}
    names = {gpu: asked.of("uuid", gpu) or str(gpu) for gpu in asked.gpus}

    def programs() -> bytes:
        words = [target.python, PROGRAM, "cuda:0", str(LOAD_S)]
        commands = {gpu: ["env", f"CUDA_VISIBLE_DEVICES={name}", *words] for gpu, name in names.items()}
        environ = {**target.environ, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
        done = deadline.run_many(commands, START_S + LOAD_S, environ)
        return json.dumps({gpu: of(one) for gpu, one in done.items()}).encode()

    def watch() -> bytes:
        """As soon as all are busy; else at the end of the time."""
        end, busy = time.monotonic() + START_S, list[Any]()
        while time.monotonic() < end and not (busy and all(busy)):
            time.sleep(1.0)
            told = ask({}, {"reasons": questions.reasons}, nvml.INIT_S["deep"])
            busy = [not (told.of("reasons", gpu) or {"is_idle": True})["is_idle"] for gpu in names]
        time.sleep(LOAD_S / 4)
        told = ask({}, {name: questions.OF_GPU[name] for name in ASKED}, nvml.INIT_S["deep"])
        return json.dumps({gpu: {name: told.of(name, gpu) for name in ASKED} for gpu in names}).encode()

    said = deadline.call_many({"programs": programs, "nvml": watch}, START_S + LOAD_S + 30)
    ran, seen = (json.loads(said[name] or b"{}") for name in ("programs", "nvml"))
    return {gpu: {**ran.get(str(gpu), {}), "nvml": seen.get(str(gpu), {})} for gpu in names}


def of(done: deadline.Outcome) -> Mapping[str, Any]:
    if done.timed_out:
        return {
            "error": f"it did not come to an end within {START_S + LOAD_S:g} s",
            "num_rounds": 0,
            "num_wrong": 0,
        }
    try:
        return dict(json.loads(done.stdout.splitlines()[-1]))
    except (ValueError, IndexError, TypeError):
        return {"error": f"its process ended with {done.code}", "num_rounds": 0, "num_wrong": 0}

"""Packages of fused kernels in the job's interpreter: which are there, and what their import came to."""

import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from probes import deadline, procfs
from probes.checking import interpreter
from probes.checking.check import Check, Measurement, Target, skipped

NAMES = ("flash_attn", "xformers", "transformer_engine", "apex", "vllm._C", "deep_gemm", "bitsandbytes")
NONE = f"none of {', '.join(NAMES)} is installed"
COMPILES = ("deep_gemm", "transformer_engine", "apex")  # build kernels when they are first used, or may
FIND = "import importlib.util, json\nprint(json.dumps([n for n in {names} if importlib.util.find_spec(n)]))"
LIMIT_S = {"default": 20.0, "deep": 120.0}
CHECK = Check("default", 150.0, cost=("gpu_memory", "kernels"), lane="kernels")
HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAM = os.path.join(os.path.dirname(HERE), "trial", "kernels.py")
NUM_BYTES = 1 << 20  # of the job's own script


class Tried(NamedTuple):
    """One package; `said` is empty where nothing was told by the deadline."""

    name: str
    said: Mapping[str, Any]
    took_s: float
    is_named: bool  # the job's script imports it
    last_error: str


_tried: dict[str, list[Tried]] = {}


def installed(target: Target) -> list[str]:
    """Raises interpreter.NoAnswer."""
    tops = sorted({name.partition(".")[0] for name in NAMES})
    found = set(map(str, interpreter.ask(target, FIND.format(names=tops), 10.0)))
    return [name for name in NAMES if name.partition(".")[0] in found]


def tried(target: Target) -> list[Tried]:
    """Import each in a child of its own, once for an interpreter. Raises interpreter.NoAnswer."""
    if target.python not in _tried:
        names = installed(target)
        limit = LIMIT_S["deep" if target.level == "deep" else "default"]
        commands = {name: [target.python, PROGRAM, name] for name in names}
        done = deadline.run_many(commands, limit, target.environ)
        used = imports(target.command)
        _tried[target.python] = [heard(name, done[name], used) for name in names]
    return _tried[target.python]


def of(target: Target) -> tuple[list[Tried], list[Measurement]]:
    """Those that were tried; and the only measurement where there are none."""
    try:
        found = tried(target)
    except interpreter.NoAnswer as error:
        return [], [skipped("packages", target.python, str(error))]
    return found, [] if found else [skipped("packages", target.python, NONE)]


def heard(name: str, done: deadline.Outcome, used: set[str]) -> Tried:
    lines = done.stdout.decode(errors="replace").strip().splitlines()
    errors = done.stderr.decode(errors="replace").strip().splitlines()
    said: Mapping[str, Any] = {}
    with suppress(ValueError):
        said = json.loads(lines[-1]) if lines and not done.timed_out else {}
    if done.code is not None and not said:  # it ended without a word: a crash in native code
        said = {"refusal": f"its process ended with code {done.code}"}
    is_named = name.partition(".")[0] in used
    return Tried(name, said, round(done.seconds, 2), is_named, errors[-1][:300] if errors else "")


def imports(command: tuple[str, ...]) -> set[str]:
    """The packages that the command's own script names in an import."""
    found: set[str] = set()
    for word in command:
        if word.endswith(".py"):
            text = (procfs.head(word, NUM_BYTES) or b"").decode(errors="replace")
            found |= set(re.findall(r"^[ \t]{0,40}(?:import|from)[ \t]+(\w{1,60})", text, re.MULTILINE))
    return found

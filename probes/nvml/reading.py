"""What checks of GPUs read: NVML is asked once for all that run in one process, and each takes its part."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from probes.checking.check import Check, Measurement, Target, Value, measured, skipped
from probes.nvml import counters, questions, visible
from probes.nvml.answering import SYSTEM
from probes.nvml.asking import Asked, ask

LANE = "nvml"
# Without persistence mode a driver takes seconds to wake up.
INIT_S = {"fast": 5.0, "default": 10.0, "deep": 10.0}
WATCH_S = {"fast": 0.0, "default": 5.0, "deep": 60.0}
MOST_S = 90.0
ASKS = {
    "nvml_s": "seconds that NVML has to answer at all (10, with --fast 5)",
    "watch_s": "seconds for which counters and events of GPUs are watched (5, with --deep 60)",
}
# Errors of nobody being there to ask: they say nothing of the GPUs.
ABSENT = {"LIBRARY_NOT_FOUND", "NO_PERMISSION", "FUNCTION_NOT_FOUND"}
SEE_A00 = "NVML did not answer, see A00"


def seconds(target: Target, name: str, by_level: Mapping[str, float]) -> float:
    return min(target.settings.get(name, by_level[target.level]), MOST_S)


def answers(target: Target) -> Asked:
    """All that is asked at once, of the GPUs that the job may see."""
    return of_job(_answers(seconds(target, "nvml_s", INIT_S)), target)


def of_job(asked: Asked, target: Target) -> Asked:
    uuids = [asked.of("uuid", gpu) or "" for gpu in range(asked.num_gpus)]
    return asked._replace(only=visible.indices(target.environ, uuids))


@cache
def _answers(init_s: float) -> Asked:
    return ask(questions.SYSTEM_WIDE, questions.OF_GPU, init_s)


CHECK = Check(needs=("gpu",), lane=LANE, limit_s=MOST_S + 30, asks=ASKS, shares=answers)
OF_PAIRS = CHECK._replace(needs=("gpus",))
# Counters are read twice, with a wait between in which NVML tells of events: a process of their own.
OVER_TIME = CHECK._replace(level="default", lane="nvml counters", limit_s=2 * MOST_S + 30)


def changes(target: Target) -> Asked:
    """What has changed meanwhile: as `answers`, for the questions of `counters`."""
    if (asked := answers(target)).error:
        return asked
    told = _changes(seconds(target, "nvml_s", INIT_S), seconds(target, "watch_s", WATCH_S))
    return told._replace(only=asked.only)


@cache
def _changes(init_s: float, watch_s: float) -> Asked:
    return ask(counters.over(watch_s), counters.AFTER, init_s, watch_s)


def silence(asked: Asked) -> list[Measurement]:
    """The only measurement where NVML could not be asked; none where it was."""
    if not asked.error:
        return []
    return [skipped("host", "NVML", SEE_A00 if asked.hung else asked.error)]


def of_system(
    asked: Asked, question: str, call: str, read: Callable[[Any], Mapping[str, Value]]
) -> list[Measurement]:
    """One measurement of the whole host."""
    value = asked.of(question)
    if value is None:
        return silence(asked) or [skipped("host", call, reason(asked, question, SYSTEM))]
    return [measured("host", call, **read(value))]


def of_gpus(
    asked: Asked, question: str, call: str, read: Callable[[Any], Mapping[str, Value]] = dict
) -> list[Measurement]:
    """One measurement of each GPU, with its model for what is to be expected of it."""
    found = silence(asked)
    for gpu in asked.gpus:
        value = asked.of(question, gpu)
        if value is None:
            found.append(skipped(f"gpu {gpu}", call, reason(asked, question, gpu)))
        else:
            found.append(measured(f"gpu {gpu}", call, **read(value)))
    return found


def with_idle(asked: Asked, found: list[Measurement]) -> list[Measurement]:
    """The same measurements of all GPUs, each with whether its GPU is at rest."""
    if asked.error:
        return found
    idle = [(asked.of("reasons", gpu) or {}).get("is_idle") for gpu in asked.gpus]
    return [
        one if one.skip else measured(one.subject, one.where, **one.values, is_idle=is_idle)
        for one, is_idle in zip(found, idle, strict=True)
    ]


def has_switches(asked: Asked) -> bool | None:
    """Whether a link of any GPU ends at an NVSwitch; None where no GPU tells of its links."""
    told = [links for gpu in asked.gpus if (links := asked.of("links", gpu)) is not None]
    return any(links["num_switched"] for links in told) if told else None


def reason(asked: Asked, question: str, gpu: int) -> str:
    """Why there is no answer."""
    lost = asked.errors.get(("handle", gpu))
    return asked.errors.get((question, gpu)) or (f"no handle: {lost}" if lost else "it was not asked")


def change_check(
    call: str, read: Callable[[Any], Mapping[str, Value]]
) -> Callable[[Target], list[Measurement]]:
    """The `measure` of a check that reads what has changed of one counter."""

    def measure(target: Target) -> list[Measurement]:
        return of_gpus(changes(target), "changed", call, read)

    return measure


def gpu_check(question: str, call: str) -> Callable[[Target], list[Measurement]]:
    """The `measure` of a check that takes one answer as it is."""

    def measure(target: Target) -> list[Measurement]:
        return of_gpus(answers(target), question, call)

    return measure

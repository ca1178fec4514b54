"""Whether py-spy reads the stack of a process of the job's interpreter."""

import time

from probes import stacks
from probes.checking import sleeper
from probes.checking.check import Check, Measurement, Target, measured, skipped
from probes.checking.interpreter import NoAnswer

CHECK = Check(limit_s=20.0, cost=("signals",))
LIMIT_S = 6.0


def measure(target: Target) -> list[Measurement]:
    path = stacks.find_py_spy()
    where = f"{path or 'py-spy'} dump of a child"
    if path is None:
        return [measured("host", where, is_there=False)]
    try:
        with sleeper.asleep(target) as pid:
            begun = time.monotonic()
            told = stacks.from_outside({0: pid}, LIMIT_S)[0]
            took = round(time.monotonic() - begun, 3)
    except (NoAnswer, OSError) as error:
        return [skipped("host", where, str(error))]
    refusal = told if isinstance(told, str) else "" if shows(told) else "the stack lacks the waiting function"
    return [measured("host", where, is_there=True, refusal=refusal, took_s=took)]


def shows(threads: stacks.Threads) -> bool:
    """Whether the stack is the real one."""
    names = [frame.get("name") for thread in threads for frame in thread.get("frames") or ()]
    return sleeper.FUNCTION in names

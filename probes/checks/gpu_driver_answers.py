"""Whether NVML answers at all, and gives a handle for every GPU."""

from probes.checking.check import Measurement, Target, measured, skipped
from probes.nvml import reading

CHECK = reading.CHECK


def measure(target: Target) -> list[Measurement]:
    asked = reading.answers(target)
    where = "nvmlInit in a child"
    if asked.hung:
        return [measured("host", where, answers=False, why=asked.error)]
    if asked.error in reading.ABSENT or asked.error.startswith("no module"):
        return [skipped("host", where, asked.error)]
    if asked.error:
        return [measured("host", where, answers=True, error=asked.error)]
    error = asked.errors.get(("count", -1), "")
    found = [measured("host", where, answers=True, error=error, answered_in_s=asked.of("init"))]
    for gpu in range(asked.num_gpus):
        if error := asked.errors.get(("handle", gpu), ""):
            found.append(measured(f"gpu {gpu}", "nvmlDeviceGetHandleByIndex", answers=True, error=error))
    hung = {name: why for (name, _), why in asked.errors.items() if why.startswith("no answer")}
    found += [measured(name, f"the question {name}", answers=False, why=why) for name, why in hung.items()]
    return found

"""How many NVLinks of each GPU are up."""

from probes.checking.check import Measurement, Target, measured, skipped
from probes.nvml import reading

CHECK = reading.CHECK
NONE = {"NOT_SUPPORTED", "INVALID_ARGUMENT"}  # what a GPU without NVLinks says


def measure(target: Target) -> list[Measurement]:
    asked = reading.answers(target)
    found, where = reading.silence(asked), "nvmlDeviceGetNvLinkState"
    links = {gpu: asked.of("links", gpu) for gpu in asked.gpus}
    has_switches = bool(reading.has_switches(asked))
    most = max((told["num_active"] for told in links.values() if told), default=0)
    for gpu, told in links.items():
        why = reading.reason(asked, "links", gpu)
        if told is None and why not in NONE:
            found.append(skipped(f"gpu {gpu}", where, why))
            continue
        num = told["num_active"] if told else 0
        down = ", ".join(map(str, told["down"])) if told else ""
        found.append(
            measured(
                f"gpu {gpu}",
                where,
                gpu_model=asked.of("name", gpu),
                num_active_links=num,
                num_fewer=most - num,
                down=down,
                has_switches=has_switches,
                has_several_gpus=len(links) > 1,
            )
        )
    return found

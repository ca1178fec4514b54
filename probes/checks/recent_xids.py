"""Error codes of the driver: those that NVML tells while the checks run, and those of the kernel's log."""

from probes import kmsg
from probes.checking import machine
from probes.checking.check import Measurement, Target, measured, skipped
from probes.nvml import kernel_log, reading

CHECK = reading.OVER_TIME
EVENTS, LOG = "NVML event set", kmsg.DEVICE


def measure(target: Target) -> list[Measurement]:
    asked = reading.changes(target)
    if silent := reading.silence(asked):
        return silent
    events = asked.of("events")
    found = []
    for event in events or []:
        subject = "host" if event["gpu"] is None else f"gpu {event['gpu']}"
        found.append(measured(subject, EVENTS, xid=event["xid"], age_s=0.0))
    buses = {asked.of("pci", gpu)["bus"]: gpu for gpu in asked.gpus if asked.of("pci", gpu)}
    lines, why = (
        kernel_log.xids(machine.top() + LOG) if machine.see().kernel == "linux" else ([], "gVisor's own")
    )
    for line in lines:
        if (mine := kernel_log.same_bus(line.bus, buses)) is not None:
            found.append(measured(f"gpu {mine}", LOG, xid=line.code, age_s=line.age_s))
    if events is None and why:
        return [skipped("host", EVENTS, f"{reading.reason(asked, 'events', -1)}; kernel's log: {why}")]
    sources = [EVENTS] * (events is not None) + [LOG] * (not why)
    return found or [measured("host", ", ".join(sources), num_xids=0)]

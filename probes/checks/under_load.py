"""What load does to each GPU: its clock, what holds that down, and its PCIe link."""

from probes.checking.check import Measurement, Target, measured, skipped
from probes.cuda import loading
from probes.nvml import reading

CHECK = loading.CHECK
WHERE = "NVML while matrices are multiplied"
REASONS = ("sw_power_cap", "hw_slowdown", "hw_thermal", "hw_power_brake")


def measure(target: Target) -> list[Measurement]:
    said = loading.loaded(target)
    return reading.silence(reading.answers(target)) or [
        of(f"gpu {gpu}", told["nvml"]) for gpu, told in said.items()
    ]


def of(subject: str, told: dict[str, dict[str, float] | None]) -> Measurement:
    reasons, clocks, link = (told.get(name) or {} for name in ("reasons", "clocks", "pcie"))
    if not reasons or not clocks:
        return skipped(subject, WHERE, "NVML did not tell under load")
    if reasons["is_idle"]:
        return skipped(subject, WHERE, "there was no load on it")
    highest = clocks["max_sm_mhz"]
    return measured(
        subject,
        WHERE,
        sm_mhz=clocks["sm_mhz"],
        max_sm_mhz=highest,
        share_of_max=clocks["sm_mhz"] / highest if highest else None,
        num_generations_missing=link.get("num_generations_missing"),
        gpu_c=(told.get("temperature") or {}).get("gpu_c"),
        **{name: reasons[name] for name in REASONS},
    )

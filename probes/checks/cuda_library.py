"""Which library of the CUDA driver torch loads."""

from probes.checking.check import Measurement, Target, measured, skipped
from probes.cuda import reading

CHECK = reading.CHECK
WHERE = "/proc/self/maps of torch"


def measure(target: Target) -> list[Measurement]:
    said = reading.facts(target)
    paths = said.get("libraries")
    if not paths:
        return [skipped("host", WHERE, said["error"] or "torch loaded none")]
    return [
        measured(
            "host",
            WHERE,
            paths=", ".join(paths),
            num_libraries=len(paths),
            is_stub=any("/stubs/" in path for path in paths),
            is_compatibility=any("compat" in path for path in paths),
        )
    ]

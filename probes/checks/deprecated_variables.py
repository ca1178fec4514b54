"""Settings under names that libraries no longer read, or will not for long."""

from probes.checking import variables
from probes.checking.check import Check, Measurement, Target

CHECK = Check()


def measure(target: Target) -> list[Measurement]:
    return variables.told(target)

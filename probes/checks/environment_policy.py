"""Settings that the environment policy of `diagnose run --env policy` would have otherwise."""

from probes.checking import variables
from probes.checking.check import Check, Measurement, Target

CHECK = Check()


def measure(target: Target) -> list[Measurement]:
    return variables.told(target)

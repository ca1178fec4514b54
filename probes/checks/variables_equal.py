"""Whether settings of NCCL, torch and CUDA are the same in every rank; values are compared as hashes."""

from collections.abc import Mapping

from probes.checking import trial
from probes.checking.check import Measurement, Target, measured, skipped

CHECK = trial.follower()
WHERE = "the ranks' environment in the trial"
DECIDE = ("NCCL_ALGO", "NCCL_PROTO")  # ranks that differ in these wait for each other for ever


def measure(target: Target) -> list[Measurement]:
    told = {rank: mine["environment"] for rank, mine in trial.held(target).everyone().items()}
    return compared(told) if told else [skipped("job", WHERE, trial.UNMET)]


def compared(told: Mapping[int, Mapping[str, str]]) -> list[Measurement]:
    """A subject for each variable that differs; one for all where none does."""
    names = sorted({name for mine in told.values() for name in mine})
    found = []
    for name in names:
        by_value: dict[str, list[int]] = {}
        for rank, mine in told.items():
            by_value.setdefault(mine.get(name, ""), []).append(rank)
        if len(by_value) > 1:
            odd = min(by_value.values(), key=len)
            ranks = ", ".join(map(str, odd))
            found.append(measured(name, WHERE, differs=True, decides=name in DECIDE, odd_ranks=ranks))
    return found or [measured("all settings", WHERE, differs=False, decides=False, odd_ranks="")]

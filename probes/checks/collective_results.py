"""Whether each collective gives what it must, and every rank the same bits."""

from probes.checking import trial
from probes.checking.check import Measurement, Target, measured, skipped
from probes.checking.trial_files import Said

CHECK = trial.follower()
ALIKE = {"all_reduce", "all_gather"}  # the same result in every rank


def measure(target: Target) -> list[Measurement]:
    by_op: dict[str, list[Said]] = {}
    for line in trial.held(target).of("result"):
        by_op.setdefault(str(line.get("op")), []).append(line)
    return [of_op(op, told) for op, told in by_op.items()]


def of_op(op: str, told: list[Said]) -> Measurement:
    where = f"{op} of known numbers in the trial"
    if refusal := next((line["refusal"] for line in told if line.get("refusal")), ""):
        return skipped(op, where, refusal)
    wrong = sorted(line["rank"] for line in told if not line.get("is_right"))
    return measured(
        op,
        where,
        num_ranks=len(told),
        wrong_ranks=", ".join(map(str, wrong)),
        num_results=len({line.get("digest") for line in told}) if op in ALIKE else None,
    )

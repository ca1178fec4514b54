"""Whether the name of the host where the job's ranks meet means the same address in every rank."""

from probes.checking import trial
from probes.checking.check import Measurement, Target, measured, skipped

CHECK = trial.follower()
WHERE = "getaddrinfo in the trial"


def measure(target: Target) -> list[Measurement]:
    told = [mine["master"] for mine in trial.held(target).everyone().values()]
    if not told:
        return [skipped("job", WHERE, trial.UNMET)]
    return [
        measured(
            told[0]["name"],
            WHERE,
            refusal=next((one["refusal"] for one in told if one["refusal"]), ""),
            num_answers=len({tuple(one["addresses"]) for one in told if one["addresses"]}),
            num_addresses=len({address for one in told for address in one["addresses"]}),
        )
    ]

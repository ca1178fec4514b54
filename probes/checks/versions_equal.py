"""Whether every rank runs the same software."""

from probes.checking import trial
from probes.checking.check import Measurement, Target, measured, skipped

CHECK = trial.follower()
WHERE = "the ranks' own words in the trial"


def measure(target: Target) -> list[Measurement]:
    """One subject for each piece that any rank has."""
    told = [mine["versions"] for mine in trial.held(target).everyone().values()]
    if not told:
        return [skipped("job", WHERE, trial.UNMET)]
    found = []
    for name in dict.fromkeys(name for one in told for name in one):
        seen = sorted({str(one.get(name, "")) for one in told})
        if seen != [""]:
            found.append(measured(name, WHERE, num_versions=len(seen), versions=", ".join(seen)[:200]))
    return found

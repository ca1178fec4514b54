"""How long each rank takes to compile the same small graph from an empty cache, and the spread."""

from probes.checking import trial
from probes.checking.check import Measurement, Target, measured, skipped

CHECK = trial.follower("deep")
WHERE = "torch.compile of a small model in the trial"


def measure(target: Target) -> list[Measurement]:
    """The spread is what the others would wait in their first collective."""
    held = trial.held(target)
    told = list(held.of("compiled"))
    found = [skipped(f"rank {one['rank']}", WHERE, one["refusal"]) for one in told if one.get("refusal")]
    seconds = {one["rank"]: one["seconds"] for one in told if not one.get("refusal")}
    if not seconds:
        return found or [skipped("job", WHERE, "no rank came to it")]
    slowest, fastest = max(seconds, key=seconds.__getitem__), min(seconds.values())
    return [
        *found,
        measured(
            "job",
            WHERE,
            slowest_s=round(seconds[slowest], 2),
            fastest_s=round(fastest, 2),
            spread_s=round(seconds[slowest] - fastest, 2),
            spread_share=round(1 - fastest / seconds[slowest], 4) if seconds[slowest] else 0.0,
            slowest_rank=slowest,
            num_missing=held.num_ranks - len(told),
        ),
    ]

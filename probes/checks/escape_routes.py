"""Whether evidence of a hang gets out: ranks hang on purpose under our agent, and what it takes must arrive.

Each route is timed from the moment the ranks hang; three seconds of that are the silence that makes a stall.
"""

from probes.checking import trial
from probes.checking.check import Check, Measurement, Target, measured
from probes.checking.trial import Said, Trial

CHECK: Check = trial.follower("deep")
CULPRIT = 1


def measure(target: Target) -> list[Measurement]:
    held = trial.held(target)
    told = held.rehearsal
    folder = trial.wish(target).root
    refusal = str(told.get("refusal", ""))
    found = [measured(folder, "a run directory made there", refusal=refusal)]
    begun = max((line["time"] for line in held.of("hanging")), default=None)
    if refusal:
        return found
    return [
        *found,
        *(routes(told, begun, held) if begun else [measured("hang", "the trial", is_reached=False)]),
    ]


def routes(told: Said, begun: float, held: Trial) -> list[Measurement]:
    """What arrived after the hang began, and how long after."""
    found = []
    for name, by_rank in (("stack", told.get("stacks", {})), ("flight recorder", told.get("flight", {}))):
        later = {rank: [time for time in mine if time >= begun] for rank, mine in by_rank.items()}
        came = {rank: min(mine) for rank, mine in later.items() if mine}
        found.append(
            measured(
                name,
                f"{trial.NAME}/attempts/1",
                num_missing=held.num_ranks - len(came),
                has_culprit=CULPRIT in came,
                after_s=round(max(came.values()) - begun, 2) if came else None,
            )
        )
    for kind in ("job.stalled", "verdict.written"):
        times = [
            time for time in told.get("events", {}).get(kind, []) if isinstance(time, float) and time >= begun
        ]
        after = round(min(times) - begun, 2) if times else None
        found.append(measured(kind, f"{trial.NAME}/attempts/1/events", is_told=bool(times), after_s=after))
    return [*found, verdict(told.get("verdict", {}))]


def verdict(told: Said) -> Measurement:
    causes = told.get("causes") or []
    ranks = causes[0].get("ranks", []) if causes else []
    return measured(
        "verdict",
        f"{trial.NAME}/verdict.json",
        is_right=ranks == [CULPRIT] and told.get("symptom") == "hang",
        symptom=str(told.get("symptom", "")),
        ranks=", ".join(map(str, ranks)),
        failure=str(causes[0].get("failure", "")) if causes else "",
    )

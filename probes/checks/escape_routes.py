"""Whether evidence of a hang gets out: ranks hang on purpose under our agent, and what it takes must arrive.

Each route is timed from the moment the ranks hang; that includes the silence which makes a stall.
"""

from probes.checking import trial
from probes.checking.check import Check, Measurement, Target, measured, skipped
from probes.checking.trial import Trial
from probes.checking.trial_files import Said

CHECK: Check = trial.follower("deep")
CULPRIT = 1
ARRIVED = ("is_told", "has_culprit", "is_right")


def measure(target: Target) -> list[Measurement]:
    held = trial.held(target)
    told = held.rehearsal
    folder = trial.wish(target).root
    if told.get("missing"):
        return [skipped("hang", "the trial", told["missing"])]
    refusal = str(told.get("refusal", ""))
    found = [measured(folder, "a run directory made there", refusal=refusal)]
    begun = max((line["time"] for line in held.of("hanging")), default=None)
    if refusal:
        return found
    if begun is None:
        return [*found, unreached(told, held)]
    return [*found, *(late(one, held) for one in routes(told, begun, held))]


def unreached(told: Said, held: Trial) -> Measurement:
    """The ranks did not come to the hang; where they were too slow for that, nothing was tried."""
    if slow := held.slow():
        return skipped("hang", "the trial", f"the ranks did not come to it; {slow}")
    if told.get("events", {}).get("job.stalled"):
        return skipped("hang", "the trial", "the ranks fell silent before they came to it: see H01")
    return measured("hang", "the trial", is_reached=False)


def late(one: Measurement, held: Trial) -> Measurement:
    """On a machine that is busy with other work what did not arrive is not known to be lost."""
    is_there = all(one.values.get(key, True) for key in ARRIVED)
    slow = "" if is_there else held.slow()
    return skipped(one.subject, one.where, f"it did not arrive; {slow}") if slow else one


def routes(told: Said, begun: float, held: Trial) -> list[Measurement]:
    """What arrived once the stall was called, and how long after the hang began."""
    said = {kind: later(times, begun) for kind, times in told.get("events", {}).items()}
    stalled = min(said.get("job.stalled", []), default=float("inf"))
    found = [told_of("job.stalled", said, begun, begun)]
    for name, by_rank in (("stack", told.get("stacks", {})), ("flight recorder", told.get("flight", {}))):
        came = {rank: min(late) for rank, times in by_rank.items() if (late := later(times, stalled))}
        found.append(
            measured(
                name,
                f"{trial.NAME}/attempts/1",
                num_missing=held.num_ranks - len(came),
                has_culprit=CULPRIT in came,
                after_s=round(max(came.values()) - begun, 2) if came else None,
            )
        )
    return [*found, told_of("verdict.written", said, stalled, begun), verdict(told.get("verdict", {}))]


def told_of(kind: str, said: dict[str, list[float]], since: float, begun: float) -> Measurement:
    times = later(said.get(kind, []), since)
    after = round(min(times) - begun, 2) if times else None
    return measured(kind, f"{trial.NAME}/attempts/1/events", is_told=bool(times), after_s=after)


def later(times: list[float], since: float) -> list[float]:
    """Those not before a moment; a file's time may be a little coarser than a line's."""
    return [time for time in times if isinstance(time, int | float) and time >= since - 0.01]


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

"""A straggler: the one rank that is late at the collectives, time after time.

Sources: what the ranks log of their own steps, what a detector reports, and
flight recorder dumps, taken while the job ran well. Between two collectives of a group each rank does
its own work; the rank whose work takes longest makes the others wait. Times are each rank's clock: the work
is measured from the moment the last member arrived at the collective before.
"""

import statistics
from collections import Counter
from collections.abc import Iterable

import msgspec

from diagnose import histories
from diagnose.looks import decisive, looks
from diagnose.losses import ended_well
from diagnose.model import Event, Evidence, Fact, FactKind, named
from diagnose.waitgraph import stuck

KINDS = {
    "rank.straggled": FactKind(
        "one rank makes the others wait; data: late_s (mean), share (of the waits it caused), "
        "fraction (of the wall time), spread (share of ten windows in which it was late), num_waits",
        ("flight_recorder", "rank_log", "launcher_log"),
    ),
}
WARM_UP = 5  # collectives at the start that are not counted: step 0 is contaminated
NOTABLE_S = 0.005  # shorter waits are the scheduler's
ALIKE = 0.85  # the score of ranks that differ by chance alone is above
FEWEST = 3  # steps that are told
BELOW = 0.3  # of the others' speed at least: from there on detectors name a rank
OF_A_REPORT = 100  # steps: a detector tells a score of many, and not of how many
Arrivals = dict[int, dict[int, float]]  # collective -> rank -> time


def derive(evidence: Evidence) -> Iterable[Fact]:
    well = ended_well(evidence)
    if not well and (
        any(evidence.of("job.stalled", "exception.raised")) or any(map(failed, evidence.of("rank.died")))
    ):
        return  # waits for a rank that stalls or fails are not a straggler's
    look = decisive(evidence)
    if not well and look is not None and look.cause == "foreign" and stuck(look, evidence):
        return  # nor are those of a job of which nothing tells that it went on
    newest: dict[str, dict[int, Event]] = {}
    for look in looks(evidence):
        for scan in look.scans:
            for e in scan:
                if e.kind == "flight.group_read" and e.rank is not None:
                    newest.setdefault(str(e.data.get("group", "")), {})[e.rank] = e
    odd = unequal(newest, evidence)
    found = (late(g, list(mine.values())) for g, mine in sorted(newest.items()) if g not in odd)
    facts = [fact for fact in found if fact is not None]
    if not facts and not well:
        yield from list(by_own_times(evidence)) or list(by_score(evidence)) or by_report(evidence)
    if facts:
        yield max(facts, key=lambda f: float(str(f.data["fraction"])))


def by_own_times(evidence: Evidence) -> Iterable[Fact]:
    """What the ranks say of their steps: one whose work takes longest while the others wait, in each step."""
    steps: dict[int, dict[int, Event]] = {}
    for event in evidence.of("step.timed"):
        rank, step = of(event), event.data.get("step")
        if rank is not None and isinstance(step, int):
            steps.setdefault(step, {})[rank] = event
    whole = [told for told in steps.values() if len(told) > 1 and len(told) == max(map(len, steps.values()))]
    worst = [most(told, "work_s") for told in whole]
    if len(worst) < FEWEST:
        return
    slow = statistics.mode(worst)
    theirs = [[seconds(e, "work_s") for r, e in told.items() if r != slow] for told in whole]
    pairs = [(seconds(told[slow], "work_s"), max(other)) for told, other in zip(whole, theirs, strict=True)]
    late = statistics.fmean(own - other for own, other in pairs)
    total = statistics.fmean(sum(seconds(told[slow], key) for key in ("work_s", "wait_s")) for told in whole)
    waits_least = all(most(told, "wait_s", -1.0) == slow for told in whole)
    if waits_least:
        share, num = worst.count(slow) / len(worst), max(steps) - min(steps) + 1  # logged now and then
        yield told_slow(slow, late, share, late / (total or 1.0), num, [told[slow] for told in whole])


def most(told: dict[int, Event], key: str, sign: float = 1.0) -> int:
    """The rank with the largest value of one step; with `sign` -1 the smallest."""
    return max(told, key=lambda rank: sign * seconds(told[rank], key))


def by_score(evidence: Evidence) -> Iterable[Fact]:
    """What a detector in the job reports: its score is of many steps, 1 is as fast as the fastest."""
    scores = {rank: e for e in evidence.of("rank.scored") if (rank := of(e)) is not None}
    lowest = sorted(scores, key=lambda rank: seconds(scores[rank], "score"))
    if len(lowest) > 2 and seconds(scores[lowest[1]], "score") >= ALIKE > seconds(scores[lowest[0]], "score"):
        rest = 1.0 - seconds(scores[lowest[0]], "score")
        yield told_slow(lowest[0], rest, 1.0, rest, OF_A_REPORT, [scores[lowest[0]]])


def by_report(evidence: Evidence) -> Iterable[Fact]:
    """Whom a detector names in most of its reports, or who has the least throughput in each of them."""
    told = [(e, ranks) for e in evidence.of("straggler.named") if (ranks := integers(e.data.get("ranks")))]
    each = Counter(rank for _, ranks in told for rank in set(ranks))
    for rank in sorted(r for r, times in each.items() if 2 * times > len(told)):
        events = [event for event, ranks in told if rank in ranks]
        text = f"a detector in the job names {named([rank])} in {len(events)} of {len(told)} reports"
        fact = told_slow(rank, BELOW, 1.0, BELOW, OF_A_REPORT, events)
        yield msgspec.structs.replace(fact, text=text)
    ranged = list(evidence.of("straggler.ranged"))
    slowest = {e.data.get("slowest") for e in ranged}
    one = slowest.pop() if len(slowest) == 1 else None
    if not told and isinstance(one, int):
        share = statistics.fmean(seconds(e, "least") / (seconds(e, "most") or 1.0) for e in ranged)
        if share < ALIKE:
            yield told_slow(one, 1.0 - share, 1.0, 1.0 - share, OF_A_REPORT, ranged)


def integers(value: object) -> list[int]:
    return [n for n in value if isinstance(n, int)] if isinstance(value, list) else []


def told_slow(rank: int, late: float, share: float, fraction: float, num: int, events: list[Event]) -> Fact:
    return Fact(
        kind="rank.straggled",
        text=f"{named([rank])} takes longest by its own times, {fraction:.0%} of a step more than the next",
        ranks=[rank],
        data={"late_s": late, "share": share, "fraction": fraction, "spread": share, "num_waits": num},
        events=events[:4],
        inferred=True,
    )


def of(event: Event) -> int | None:
    told = event.data.get("of")
    return told if isinstance(told, int) else event.rank


def seconds(event: Event, key: str) -> float:
    value = event.data.get(key)
    return float(value) if isinstance(value, int | float) else 0.0


def unequal(newest: dict[str, dict[int, Event]], evidence: Evidence) -> set[str]:
    """Groups whose members may be stages of a pipeline: their work differs by design.

    Stages send to each other, in a group that shows it or in one of their own that records nothing.
    """
    members = {group: set(mine) for group, mine in newest.items()}
    staged = {g: {r for r, event in mine.items() if event.data.get("mixed")} for g, mine in newest.items()}
    for event in evidence.of("group.created"):
        name, told = str(event.data.get("group")), event.data.get("ranks")
        if name not in members and event.data.get("desc") != "default_pg" and isinstance(told, list):
            staged[f"{name} of {told}"] = {rank for rank in told if isinstance(rank, int)}
    return {group for group, mine in members.items() if any(len(mine & who) > 1 for who in staged.values())}


def failed(death: Event) -> bool:
    return bool(death.data.get("signal") or death.data.get("exit_code"))


def arrivals(events: list[Event]) -> Arrivals:
    """Collectives of one group that every member recorded, with each rank's time of arrival."""
    table: Arrivals = {}
    for event in events:
        for seq, created in histories.launches(event):
            table.setdefault(seq, {})[event.rank if event.rank is not None else -1] = created
    return {seq: row for seq, row in sorted(table.items()) if len(row) == len(events)}


def late(group: str, events: list[Event]) -> Fact | None:
    """The rank that causes most waits of one group, if any are worth a word."""
    table = arrivals(events)
    seqs = [seq for seq in table if seq - 1 in table][WARM_UP:]
    if len(events) < 2 or len(seqs) < 2:
        return None
    causes: dict[int, dict[int, float]] = {}
    for seq in seqs:
        row = table[seq]
        start = max(table[seq - 1].values())
        last = max(row, key=lambda r: row[r])
        rest = statistics.median(t for r, t in row.items() if r != last)
        wait = row[last] - max(rest, start)
        if wait > NOTABLE_S:
            causes.setdefault(last, {})[seq] = wait
    total = sum(sum(waits.values()) for waits in causes.values())
    if not causes or total <= 0:
        return None
    rank, by_seq = max(causes.items(), key=lambda item: sum(item[1].values()))
    waits = list(by_seq.values())
    wall = max(table[seqs[-1]].values()) - max(table[seqs[0] - 1].values())
    typical = statistics.median(waits)
    steady = typical * len(waits)  # one long wait is a stall, not a straggler
    data: dict[str, object] = {
        "late_s": round(typical, 4),
        "share": round(sum(waits) / total, 3),
        "fraction": round(steady / wall, 4) if wall > 0 else 0.0,
        "spread": spread(seqs, {seq for seq, wait in by_seq.items() if wait > typical / 2}),
        "num_waits": len(waits),
        "group": group,
    }
    event = next(e for e in events if e.rank == rank)
    text = f"{named([rank])} is late at {len(waits)} of {len(seqs)} collectives, {typical * 1000:.0f} ms each"
    if wall > 0:
        text += f": {steady / wall:.0%} of the wall time"
    return Fact(kind="rank.straggled", text=text, ranks=[rank], data=data, events=[event])


def spread(seqs: list[int], late_at: set[int]) -> float:
    """In how many of ten equal windows the rank was late: chance comes in bursts, a straggler is steady."""
    size = max(1, -(-len(seqs) // 10))
    windows = [seqs[i : i + size] for i in range(0, len(seqs), size)]
    return round(sum(any(seq in late_at for seq in window) for window in windows) / len(windows), 3)

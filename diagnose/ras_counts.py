"""Whom the others wait for by NCCL's RAS alone: processes it calls dead, ranks with fewer launches.

Counts are of launches: equal ones prove nothing, and unequal ones are normal for a moment. Pure.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from diagnose.losses import is_timeout
from diagnose.model import Event, Evidence, integer, rows


class Missing(NamedTuple):
    """Global ranks that a communicator lacks. `is_sure`: it is no matter of a moment."""

    ranks: list[int]
    text: str
    op: str
    is_sure: bool
    events: list[Event]


def missing(evidence: Evidence) -> Iterator[Missing]:
    """The dead; where there are none, those that are behind most of their communicator."""
    read = list(evidence.of("ras.communicator_read"))
    dead = {e.data.get("pid"): e for e in evidence.of("ras.process_lost") if e.data.get("how") == "dead"}
    lost = {rank: dead[pid] for pid, rank in placed(read, evidence).items() if pid in dead}
    if lost:
        text = "cannot be reached by any other process, says NCCL's RAS"
        yield Missing(sorted(lost), text, "", True, list(lost.values()))
    if dead:  # who is behind may be so because of them
        return
    stands = any(evidence.of("job.stalled")) or any(is_timeout(event) for event in evidence.events)
    for event, op, most, fewer in behind(read):
        ranks = [globally(row, event, evidence) for row in fewer]
        again = sum((e.data.get("communicator"), op) == (event.data.get("communicator"), op) for e in read)
        if ranks and None not in ranks:
            known = sorted({rank for rank in ranks if rank is not None})
            text = f"launched fewer {op or 'operation'}s than most ({most}), says NCCL's RAS"
            yield Missing(known, text, op, stands or again > 1, [event])


def behind(read: Iterable[Event]) -> Iterator[tuple[Event, str, int, list[dict[str, object]]]]:
    """(answer, operation, count of a strict majority, the places of all that have fewer); the newest answers.

    Where some have more than the majority it is not clear who waits for whom.
    """
    for event in {e.data.get("communicator"): e for e in read}.values():
        counts = event.data.get("counts")
        for op, told in counts.items() if isinstance(counts, dict) else ():
            listed = rows(told)
            values = [(integer(row.get("value")) or 0, integer(row.get("num_ranks")) or 0) for row in listed]
            most, num = max(values, key=lambda pair: pair[1], default=(0, 0))
            if 2 * num <= sum(n for _, n in values) or max(value for value, _ in values) > most:
                continue
            fewer = [row for row, (value, _) in zip(listed, values, strict=True) if value < most]
            named = [place for row in fewer for place in rows(row.get("ranks"))]
            if len(named) == sum(integer(row.get("num_ranks")) or 0 for row in fewer):
                yield event, str(op), most, named


def placed(read: Iterable[Event], evidence: Evidence) -> dict[object, int]:
    """pid -> global rank of the processes that communicators miss."""
    lacking = [(event, row) for event in read for row in rows(event.data.get("missing"))]
    found = {row.get("pid"): globally(row, event, evidence) for event, row in lacking}
    return {pid: rank for pid, rank in found.items() if rank is not None}


def globally(row: dict[str, object], event: Event, evidence: Evidence) -> int | None:
    """The global rank of a place: by its pid, or as it stands in a communicator of everybody."""
    claims = {e.data.get("pid"): e.rank for e in evidence.of("rank.claimed", "rank.found")}
    if claims:
        nodes = {e.node for e in evidence.of("rank.claimed", "rank.found")}
        return claims.get(row.get("pid")) if len(nodes) == 1 else None  # elsewhere pids repeat
    told = [integer(e.data.get("num_processes")) for e in evidence.of("ras.read") if e.where in event.where]
    world = evidence.num_ranks or next((n for n in told if n), None)
    return integer(row.get("rank")) if world and event.data.get("size") == world else None

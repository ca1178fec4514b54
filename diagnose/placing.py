"""Where a lane should run: what its own runs at one place show, against what the playbook says of places."""

from collections.abc import Sequence
from typing import NamedTuple

from diagnose import playbook
from diagnose.contract import RunRecord
from diagnose.model import Record
from diagnose.verdict import Move

MANY = 2  # ranks, that warm each other up or wait


class Signs(Record, frozen=True):
    num_runs: int
    cold_s: float
    cold_share: float
    num_preempted: int
    preempted: list[str]  # the failures that say so


class Surface(Record, frozen=True):
    title: str
    keeps_warm: bool
    runs: list[str]  # as the record calls it
    good_for: str
    bad_for: str
    why: str
    latency: str  # to the first result one can trust
    price: str
    as_of: str
    source: str  # of the price
    move_to: str = ""
    first: str = ""  # what to try before


class Surfaces(Record, frozen=True):
    """`playbooks/surfaces.toml`."""

    signs: Signs
    surface: dict[str, Surface]


class Seen(NamedTuple):
    """One run of the lane, and whether the platform took it away."""

    record: RunRecord
    is_preempted: bool


def load() -> Surfaces:
    """Raises PlaybookError."""
    return playbook.read(playbook.root() / "surfaces.toml", Surfaces)


def move(newest: Sequence[Seen], book: Surfaces) -> Move | None:
    """What runs of one name, lane and place show, the newest first; None unless they show that it must move.

    Where some run does not tell its cache, or had one, nothing is said: that lane can be kept warm here.
    """
    signs, last = book.signs, list(newest[: book.signs.num_runs])
    if len(last) < signs.num_runs:
        return None
    here = next((one for one in book.surface.values() if last[0].record.surface in one.runs), None)
    if here is None or here.keeps_warm or here.move_to not in book.surface:
        return None
    if any(one.record.surface != last[0].record.surface or ranks(one.record) < MANY for one in last):
        return None
    colds = [cold_s(one.record) for one in last]
    shares = [share(one.record, cold) for one, cold in zip(last, colds, strict=True) if cold is not None]
    num_taken = sum(one.is_preempted for one in last)
    known = [cold for cold in colds if cold is not None]
    if len(known) < len(last) or min(known) < signs.cold_s:
        return None
    if min(shares) < signs.cold_share and num_taken < signs.num_preempted:
        return None
    there = book.surface[here.move_to]
    why = [f"the last {len(last)} starts here all compiled on a cold cache, {min(known):.0f} s or longer"]
    why += [f"that was {min(shares):.0%} of the run or more"] if min(shares) >= signs.cold_share else []
    why += [f"{num_taken} of them were taken away by the platform"] if num_taken else []
    return Move(
        to=there.title,
        away_from=here.title,
        why=[*why, here.why],
        gains=f"{there.latency} ({there.price}, as of {there.as_of})",
        first=here.first,
        runs=[one.record.run for one in last],
    )


def ranks(record: RunRecord) -> int:
    return record.distributed.world_size or len(record.ranks)


def cold_s(record: RunRecord) -> float | None:
    """The compile before the first step, where the cache was empty; None: it was not, or nobody tells."""
    found = record.compile
    if found.cache_start is None or found.cache_start.files or found.seeded_from:
        return None
    return sum(burst.seconds for burst in found.bursts if not burst.step)


def share(record: RunRecord, cold: float) -> float:
    took = (record.ended or 0.0) - (record.started or 0.0)
    return cold / took if took > 0 else 0.0

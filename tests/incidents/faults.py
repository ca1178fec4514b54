"""What goes wrong in an incident: where it is put into the programs, and which answers to it are right.

Not everything can be told from dumps. Two sides that disagree without a third, all that wait in one place
without a word on who has begun, and ranks in a circle are right answers as a whole. A fault that shows
nowhere need not be named: a rank stuck on its host that has something open itself, or that nobody waits for.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.incidents.machine import Machine, Place, Stops
from tests.incidents.program import Call, Step
from tests.incidents.truth import Ranks, circles, fronts, is_awaited, is_busy, lacks_alone

KINDS = (
    "host_stuck",
    "dead",
    "device_stuck",
    "device_lost",
    "mismatch_op",
    "mismatch_size",
    "mismatch_dtype",
    "skipped",
    "extra",
    "order",
    "transport",
)
NOT_JOINED = {"collective_not_joined", "rank_silent"}
MISMATCH = {"collective_mismatch_op", "collective_mismatch_size", "collective_mismatch_dtype"}
IDS = {
    "host_stuck": NOT_JOINED,
    "dead": NOT_JOINED,
    "device_stuck": {"collective_not_completed", "transport_stalled"},
    "device_lost": {"collective_not_completed"},
    "mismatch_op": {"collective_mismatch_op"},
    "mismatch_size": {"collective_mismatch_size"},
    "mismatch_dtype": {"collective_mismatch_dtype"},
    "skipped": {"collective_skipped", "collective_order_deadlock", *MISMATCH, *NOT_JOINED},
    "extra": {"collective_skipped", "collective_order_deadlock", *MISMATCH, *NOT_JOINED},
    "order": {"collective_order_deadlock"},
    "transport": {"transport_stalled"},
}


@dataclass(frozen=True)
class Fault:
    kind: str
    rank: int
    step: int
    key: tuple[int, ...] = ()  # of a cut: the communicator and the number of its collective


@dataclass(frozen=True)
class Expected:
    """The sets of ranks that are right answers to one fault; the empty set where it may go unseen."""

    fault: Fault
    answers: frozenset[Ranks]
    ids: frozenset[str] = field(default=frozenset())

    @property
    def may_hide(self) -> bool:
        return frozenset() in self.answers


def put(fault: Fault, programs: list[list[Step]], stops: Stops) -> None:
    """Make a fault happen. Programs are changed in place."""
    program, at = programs[fault.rank], fault.step
    if fault.kind in ("host_stuck", "dead"):
        stops.host[fault.rank] = at
    elif fault.kind == "device_stuck":
        stops.device[fault.rank] = at
    elif fault.kind == "device_lost":
        stops.blind[fault.rank] = at
    elif fault.kind == "transport":
        stops.cut.add(fault.key)
    elif fault.kind == "skipped":
        del program[at]
    elif fault.kind == "order":
        program[at], program[at + 1] = program[at + 1], program[at]
    else:
        call = program[at]
        assert isinstance(call, Call)
        if fault.kind == "extra":
            program.insert(at, call.altered(op="all_reduce", sizes=((5, 5),), outputs=((5, 5),), line=99))
        elif fault.kind == "mismatch_size":
            sizes = tuple((n + 1, *rest) for n, *rest in call.sizes)
            program[at] = call.altered(sizes=sizes, outputs=sizes)
        elif fault.kind == "mismatch_dtype":
            program[at] = call.altered(dtype="Double")
        else:
            other = "broadcast" if call.op != "broadcast" else "all_reduce"
            program[at] = call.altered(op=other, line=98)


def pick(kind: str, programs: list[list[Step]], taken: set[int], choose: random.Random) -> Fault | None:
    """A place for a fault of this kind, in the later part of a rank's program."""
    for _ in range(40):
        rank = choose.randrange(len(programs))
        program = programs[rank]
        if rank in taken or len(program) < 6:
            continue
        at = choose.randrange(len(program) // 3, len(program) - 1)
        call, after = program[at], program[at + 1]
        if not isinstance(call, Call) or not FITS[kind](call, after):
            continue
        if kind == "transport":
            number = call.comm.number
            seq = 1 + sum(
                isinstance(s, Call) and s.comm.number == number and not s.peers for s in program[:at]
            )
            return Fault(kind, rank, at, (number, seq))
        return Fault(kind, rank, at)
    return None


def is_whole(call: Call, _after: Step) -> bool:
    return not call.peers and call.op not in ("broadcast", "reduce")


def is_sized(call: Call, after: Step) -> bool:
    return is_whole(call, after) and call.op not in ("all_to_all", "barrier")


def is_swap(call: Call, after: Step) -> bool:
    return (
        isinstance(after, Call)
        and is_whole(call, after)
        and is_whole(after, after)
        and not (call.is_async or after.is_async)
        and call.comm != after.comm
        and len(set(call.comm.ranks) & set(after.comm.ranks)) > 1
    )


def anything(_call: Call, _after: Step) -> bool:
    return True


FITS: dict[str, Callable[[Call, Step], bool]] = {
    "host_stuck": anything,
    "dead": anything,
    "device_stuck": is_whole,
    "device_lost": is_whole,
    "mismatch_op": is_sized,
    "mismatch_size": is_sized,
    "mismatch_dtype": is_sized,
    "skipped": is_sized,
    "extra": is_sized,
    "order": is_swap,
    "transport": is_whole,
}


def expected(fault: Fault, machine: Machine, seen: set[int], has_starts: bool) -> Expected | None:
    """The right answers to one fault at the end of a run; none where it did not happen, or shows nowhere.

    `seen` are the ranks that left a dump.
    """
    rank = fault.rank
    if fault.kind in ("host_stuck", "dead"):
        happened = machine.at[rank] == fault.step
        answers = [frozenset({rank})] if happened and is_awaited(machine, rank, seen) else []
        # Its host may be blocked by what it has open; who left no dump may wait among the others.
        if is_busy(machine, rank) or (rank not in seen and not lacks_alone(machine, rank, seen)):
            answers.append(frozenset())
    elif fault.kind == "device_lost":
        one = next((x for x in machine.launched[rank] if x.step == fault.step and x.is_started), None)
        others = machine.places[one.keys[0]].launched if one and rank in machine.dark else {}
        is_shown = any(other in seen and x.is_done for other, x in others.items())
        answers = [frozenset({rank})] if is_shown else []
    elif fault.kind in ("device_stuck", "transport"):
        answers = whole_places(fault, machine, has_starts)
    elif fault.kind.startswith("mismatch"):
        answers = mismatched(fault, machine, seen)
    else:
        answers = [circle for circle in circles(machine) if rank in circle]
        answers += mismatched(fault, machine, seen)
        if fault.kind == "order":
            answers = [frozenset({rank}), *answers] if any(len(a) > 2 for a in answers) else answers
        elif answers or (is_awaited(machine, rank, seen) and not fronts(machine, rank)):
            answers.append(frozenset({rank}))
    return Expected(fault, frozenset(answers), frozenset(IDS[fault.kind])) if any(answers) else None


def whole_places(fault: Fault, machine: Machine, has_starts: bool) -> list[Ranks]:
    """All have launched it and nobody is done: its members, or the one whose device has not begun."""
    one = next((x for x in machine.launched[fault.rank] if x.step == fault.step), None)
    if one is None:
        return []
    place = machine.places[one.keys[0]]
    if any(x.is_done for x in place.launched.values()):
        return []
    members = place.needed
    stuck_device = fault.kind == "device_stuck" and fault.rank in machine.dark
    begun = [r for r in members if r in place.started]
    found: list[Ranks] = [frozenset({fault.rank})] if stuck_device else []
    if not (stuck_device and has_starts and begun):
        found.append(members)
    is_whole_place = len(place.launched) == len(members) and len(begun) >= len(members) - stuck_device
    return found if is_whole_place else [*found, frozenset()]


def mismatched(fault: Fault, machine: Machine, seen: set[int]) -> list[Ranks]:
    """Members of a place with unequal calls: the rank, or all who are seen there if no majority shows."""
    found: list[Ranks] = []
    for place in odd_places(machine, fault.rank):
        found.append(frozenset({fault.rank}))
        parties = frozenset(place.launched.keys() & seen)
        if len(parties) < 3:
            found.append(parties)
        if len(parties) < len(place.needed):
            found.append(frozenset())
    return found


def odd_places(machine: Machine, rank: int) -> list[Place]:
    """Where a rank waits among members whose calls are not equal."""
    places = (machine.places[key] for one in machine.launched[rank] if not one.is_done for key in one.keys)
    return [place for place in places if not place.is_equal()]

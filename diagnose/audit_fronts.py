"""Whether one dump bears out how far a certificate says that its rank has come. Pure."""

from collections.abc import Mapping
from typing import NamedTuple

from diagnose.certificate import Communicator, Front, Link
from diagnose.ledger import Group, Ledger, Operation
from diagnose.naming import rank_of

BLANK = Group(None, "", "", [], None)


class Dumps(NamedTuple):
    """Every dump by its `where`, None where it cannot be read; and who is in a group, as the hooks say."""

    ledgers: Mapping[str, Ledger | None]
    members: Mapping[str, frozenset[frozenset[int]]] = {}
    unread: Mapping[str, str] = {}  # whose reader was late or died, which says nothing of them: why

    def beside(self, where: str) -> dict[int, str]:
        """The dumps of one folder by rank; of one that cannot be read its name tells the rank."""
        folder = where.rpartition("/")[0]
        found = {}
        for path, ledger in self.ledgers.items():
            rank = ledger.rank if ledger else rank_of(path, trailing=True)
            if path.rpartition("/")[0] == folder and rank is not None and (ledger or rank not in found):
                found[rank] = path
        return found


def place(listed: list[str], at: int, rank: int, dumps: Dumps) -> str:
    if at < len(listed):
        return listed[at]
    return dumps.beside(listed[0]).get(rank, "") if listed else ""


def of_dump(link: Link, front: Front, rank: int, where: str, dumps: Dumps) -> str:
    """Why one dump does not bear out a front; empty where it does."""
    ledger = dumps.ledgers.get(where)
    if ledger is None:
        return f"{where or f'a dump of rank {rank}'}: not there, or it cannot be read"
    if ledger.rank != rank:
        return f"{where} is of rank {ledger.rank}, not {rank}"
    if front.role == "free":
        busy = next((group for group in ledger.groups if is_busy(group, ledger)), None)
        return f"rank {rank} has something open in {busy.desc} {busy.name}" if busy else ""
    if link.group is None or link.seq is None:
        return "no communicator is named"
    group = find(ledger, link.group)
    if group is None and front.role not in ("awaited", "untold"):
        return f"rank {rank} has no such communicator"
    test = transfer if link.transfer else collective
    return test(link, link.seq, front, rank, group or BLANK, ledger)


def find(ledger: Ledger, told: Communicator) -> Group | None:
    """The communicator in one process: by name alone where dumps tell no ranks, and then its index is 0.

    Else the so-many-th of its description and ranks.
    """
    if told.index == 0:
        return next((g for g in ledger.groups if g.name == told.name and not g.ranks), None)
    alike = [g for g in ledger.groups if g.ranks and g.ranks == told.ranks and g.desc == told.desc]
    alike = [g for g in alike if not told.name or g.name == told.name]
    return alike[told.index - 1] if 0 < told.index <= len(alike) else None


def is_busy(group: Group, ledger: Ledger) -> bool:
    launched, completed = frontiers(group, ledger)
    return launched > completed or any(one.is_open for one in (*group.collectives, *group.transfers))


def collective(link: Link, seq: int, front: Front, rank: int, group: Group, ledger: Ledger) -> str:
    mine = {one.number: one for one in group.collectives}
    launched, completed = frontiers(group, ledger)
    if front.basis == "none":
        return f"rank {rank} launched #{seq}" if any(n >= seq for n in mine) else ""
    if front.launched != launched:
        return f"rank {rank} has launched to #{launched}"
    # What all members launched is taken for done where the watchdog's late word alone tells of it.
    is_later = front.basis == "status" and completed <= (front.completed or 0) <= launched
    if front.basis != "report" and front.completed != completed and not is_later:
        return f"rank {rank} has completed to #{completed}"
    if front.started is not None and front.started != begun(group):
        return f"rank {rank} has begun to #{begun(group)}"
    row = mine.get(seq)
    if front.site and (row is None or front.site not in row.frames):
        return f"rank {rank} did not launch #{seq} at {front.site}"
    if front.role == "held" and not (row and older(row, ledger)):
        return f"rank {rank} has nothing open that is older than #{seq}"
    if front.role == "calls" and (row is None or (row.call, row.is_root) != (front.call, front.is_root)):
        return f"rank {rank} called {row.call if row else 'nothing that is recorded'}"
    return ""


def frontiers(group: Group, ledger: Ledger) -> tuple[int, int]:
    """The last collective launched, and the last before the first that is open.

    Where none is open in the dump: all that was launched, if the dump has all that is open. If not, what it
    shows to be done, or what the watchdog, whose word may be late, has seen done.
    """
    status = None if group.counts_transfers else group.status
    newest = max([group.carried, *(one.number for one in group.collectives)])
    first = min((one.number for one in group.collectives if one.is_open), default=None)
    launched = max(0, newest, status[0] if status else 0)
    if first is not None:
        return launched, first - 1
    if ledger.has_all_open:
        return launched, launched
    return launched, max(0, newest, min(status[2], launched) if status else 0)


def begun(group: Group) -> int | None:
    known = [one.number for one in group.collectives if one.is_begun]
    if group.status and not group.counts_transfers and group.status[1] >= 0:
        known.append(group.status[1])
    return max(known, default=None)


def older(row: Operation, ledger: Ledger) -> bool:
    """Whether something else that is open was launched before."""
    rows = [one for g in ledger.groups for one in (*g.collectives, *g.transfers) if one.is_open]
    return any((one.created, one.place) < (row.created, row.place) for one in rows)


def transfer(link: Link, seq: int, front: Front, rank: int, group: Group, ledger: Ledger) -> str:
    """One side of the transfers between two ranks: how many it launched, and how many are done."""
    source, target = link.transfer[0], link.transfer[1]
    if rank not in link.transfer:
        return f"rank {rank} is no end of it"
    what = "send" if rank == source else "recv"
    order = link.group.ranks if link.group else []
    mine = [
        one
        for one in group.transfers
        for end in one.ends
        if end[0] == what and [at(order, end[1]), at(order, end[2])] == [source, target]
    ]
    still = [one for one in mine if one.is_open]
    if (front.launched, front.completed) != (len(mine), len(mine) - len(still)):
        return f"rank {rank} has launched {len(mine)} of these, and {len(mine) - len(still)} are done"
    if front.role == "waits" and not (still and still[0].number == seq and link.op == what):
        return f"the first {what} that rank {rank} has open is not #{seq}"
    if front.role == "held" and not (still and older(still[0], ledger)):
        return f"rank {rank} has nothing open that is older"
    return ""


def at(order: list[int], index: object) -> int | None:
    return order[index] if isinstance(index, int) and 0 <= index < len(order) else None

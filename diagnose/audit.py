"""Certificates tested against the dumps again, claim by claim, without the reasoning that made them. Pure.

A claim is one front of a link (how far some ranks have come, by their dumps), or what a link says by its
fronts. It is `ok`, `not confirmed`, or `cannot be checked`: then it does not rest on dumps.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from diagnose.certificate import Communicator, Front, Link, said
from diagnose.ledger import Group, Ledger, Operation
from diagnose.model import named
from diagnose.text import rank_of

OK, WRONG, OPEN = "ok", "not confirmed", "cannot be checked"
LATE = ("awaited", "held", "silent", "untold")
BLANK = Group(None, "", "", [], None)


class Claim(NamedTuple):
    """`why`: empty where it is ok."""

    outcome: str
    text: str
    where: str = ""
    why: str = ""


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


def audit(links: Iterable[Link], ranks: Iterable[int], dumps: Dumps) -> list[Claim]:
    """Every claim of a cause's certificate. `ranks`: whom the cause names."""
    links = list(links)
    found = [claim for link in links for claim in of_link(link, dumps)]
    recorded = [link for link in links if link.says != "told"]
    about = {rank for link in recorded for front in link.fronts for rank in front.ranks}
    if recorded and ranks and not about & set(ranks):
        found.append(Claim(WRONG, f"it is about {named(sorted(ranks))}", "", f"about {named(sorted(about))}"))
    settled = {rank for link in recorded for rank in link.ranks("free", "waits", "behind", "begun", "silent")}
    late = {rank for link in recorded for rank in link.ranks(*LATE)}
    if late:
        text = "each awaited rank itself waits, is behind, left no dump, or waits for nobody"
        loose = named(sorted(late - settled)) if late - settled else ""
        found.append(Claim(WRONG if loose else OK, text, "", loose and f"nothing is said of {loose}"))
    return found


def of_link(link: Link, dumps: Dumps) -> Iterator[Claim]:
    if link.says == "told":
        where = next((w for front in link.fronts for w in front.where), "")
        yield Claim(OPEN, link.text, where, "no flight recorder dump bears it out")
        return
    for front in link.fronts:
        yield of_front(link, front, dumps)
    why = next(filter(None, (rule(link, dumps) for rule in RULES)), "")
    yield Claim(WRONG if why else OK, link.text, "", why)


def of_front(link: Link, front: Front, dumps: Dumps) -> Claim:
    where = front.where[0] if front.where else ""
    text = words(link, front)
    if front.role == "silent":
        folders = {w.rpartition("/")[0]: w for other in link.fronts for w in other.where}
        there = [w for at in folders.values() for r, w in dumps.beside(at).items() if r in front.ranks]
        read = next((w for w in there if dumps.ledgers[w] is not None), "")
        return Claim(WRONG if read else OK, text, read, read and "there is one")
    why = unread = ""
    for at, rank in enumerate(front.ranks):
        for scan in (front.where, front.before):
            dump = place(scan, at, rank, dumps) if scan or scan is front.where else None
            if dump is not None and dump in dumps.unread:
                unread = unread or f"{dump}: {dumps.unread[dump]}"
            elif dump is not None:
                why = why or of_dump(link, front, rank, dump, dumps)
    if not front.ranks:
        why = "no rank is named"
    if not why and unread:
        return Claim(OPEN, text, where, unread)
    if not why and front.basis == "report":
        return Claim(OPEN, text, where, "gloo calls done what failed: that it failed, their own errors tell")
    return Claim(WRONG if why else OK, text, where, why)


def place(listed: list[str], at: int, rank: int, dumps: Dumps) -> str:
    if at < len(listed):
        return listed[at]
    return dumps.beside(listed[0]).get(rank, "") if listed else ""


def words(link: Link, front: Front) -> str:
    who, has = named(front.ranks), "has" if len(front.ranks) == 1 else "have"
    if front.role == "silent":
        return f"{who} left no dump"
    if front.role == "free":
        return f"nothing of {who} is open"
    if link.transfer:
        return f"{who}: {front.launched} launched, {front.completed} done, of {link.place()}"
    if front.basis == "none":
        return f"no dump of {who} shows {link.place()}"
    of = link.group.title() if link.group else ""
    begun = f", begun to #{front.started}" if front.started is not None else ""
    call = f"; called {front.call} at #{link.seq}" if front.call else ""
    return (
        f"{who} {has} launched to #{front.launched} of {of}, and completed to #{front.completed}{begun}{call}"
    )


def of_dump(link: Link, front: Front, rank: int, where: str, dumps: Dumps) -> str:
    """Why one dump does not bear out a front; empty where it does."""
    ledger = dumps.ledgers.get(where)
    if ledger is None:
        return f"{where or f'a dump of rank {rank}'}: not there, or it cannot be read"
    if ledger.rank != rank:
        return f"{where} is of rank {ledger.rank}, not {rank}"
    if front.role == "free":
        busy = next((group for group in ledger.groups if is_busy(group)), None)
        return f"rank {rank} has something open in {busy.desc} {busy.name}" if busy else ""
    if link.group is None or link.seq is None:
        return "no communicator is named"
    group = find(ledger, link.group)
    if group is None and front.role not in ("awaited", "untold"):
        return f"rank {rank} has no such communicator"
    test = transfer if link.transfer else collective
    return test(link, link.seq, front, rank, group or BLANK, ledger)


def find(ledger: Ledger, told: Communicator) -> Group | None:
    """The communicator in one process: by name, else the so-many-th of its description and ranks."""
    if told.index < 1:
        return next((g for g in ledger.groups if g.name == told.name and not g.ranks), None)
    alike = [g for g in ledger.groups if g.ranks == told.ranks and g.desc == told.desc]
    alike = [g for g in alike if not told.name or g.name == told.name]
    return alike[told.index - 1] if told.index <= len(alike) else None


def is_busy(group: Group) -> bool:
    launched, completed = frontiers(group)
    return launched > completed or any(one.is_open for one in (*group.collectives, *group.transfers))


def collective(link: Link, seq: int, front: Front, rank: int, group: Group, ledger: Ledger) -> str:
    mine = {one.number: one for one in group.collectives}
    launched, completed = frontiers(group)
    if front.basis == "none":
        return f"rank {rank} launched #{seq}" if any(n >= seq for n in mine) else ""
    if front.launched != launched:
        return f"rank {rank} has launched to #{launched}"
    if front.basis != "report" and front.completed != completed:
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


def frontiers(group: Group) -> tuple[int, int]:
    """The last collective launched, and the last before the first that is open."""
    status = None if group.counts_transfers else group.status
    newest = max([group.carried, *(one.number for one in group.collectives)])
    first = min((one.number for one in group.collectives if one.is_open), default=None)
    launched = max(0, newest, status[0] if status else 0)
    if first is not None:
        return launched, first - 1
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


def words_agree(link: Link, dumps: Dumps) -> str:
    return "" if link.text == said(link) else "its words are not those of its data"


def members_agree(link: Link, dumps: Dumps) -> str:
    """Whether those it speaks of are members, where anything tells who is."""
    listed = [rank for front in link.fronts for rank in front.ranks]
    mine = set(listed)
    if len(mine) < len(listed):
        return "it names a rank twice"
    if link.group is None or not link.group.ranks:
        return ""
    if not mine <= set(link.group.ranks):
        return f"{named(sorted(mine - set(link.group.ranks)))} is no member"
    hooks = dumps.members.get(link.group.name, frozenset())
    if hooks and not any(frozenset(link.group.ranks) == one for one in hooks):
        return "the ranks' own hooks name other members"
    return ""


def orders_agree(link: Link, dumps: Dumps) -> str:
    """Whether how far each has come is what its role says."""
    seq = link.seq
    if link.says == "free" or seq is None:
        return "" if link.says == "free" else "no operation is named"
    tests = ROLES_OF_TRANSFER if link.transfer else ROLES
    for front in link.fronts:
        e, c = front.launched, front.completed
        if e is None or c is None or front.role not in tests:
            continue
        if not tests[front.role](e, c, seq):
            return f"who launched #{e} and completed #{c} is not '{front.role}' at #{seq}"
    return "" if not link.transfer else pairs_agree(link)


ROLES = {
    "waits": lambda e, c, seq: c + 1 == seq <= e,
    "behind": lambda e, c, seq: c + 1 == seq <= e,
    "begun": lambda e, c, seq: c + 1 == seq <= e,
    "awaited": lambda e, c, seq: e < seq,
    "held": lambda e, c, seq: c < seq <= e,
    "done": lambda e, c, seq: c >= seq,
    "calls": lambda e, c, seq: e >= seq,
}
ROLES_OF_TRANSFER = {"waits": lambda n, done, seq: done < n, "held": lambda n, done, seq: done < n}


def pairs_agree(link: Link) -> str:
    """Whether the other side lacks the transfer that one side waits in."""
    done = max((front.completed or 0 for front in link.of("waits")), default=0)
    for front in link.of("awaited"):
        if (front.launched or 0) > done and front.launched != front.completed:
            return f"{named(front.ranks)} has launched its side"
    return ""


def parts_agree(link: Link, dumps: Dumps) -> str:
    """Whether it has the parts that it takes to say so."""
    if link.says == "awaited":
        return "" if link.ranks("waits") and link.ranks(*LATE) else "it names nobody who waits, or for whom"
    if link.says == "behind":
        done = link.of("done") or [f for f in link.of("begun") if (f.started or 0) >= (link.seq or 0)]
        ahead = [f for f in link.of("behind") if link.of("begun") and (f.started or 0) >= (link.seq or 0)]
        return "" if done and link.ranks("behind") and not ahead else "nobody is ahead of those behind"
    if link.says == "arrived":
        everybody = link.group is not None and link.ranks("waits") == sorted(link.group.ranks)
        calls = called(link, dumps)
        return "" if everybody and len(calls) < 2 else "not all members are there with one call"
    if link.says == "differs":
        calls = {front.call for front in link.of("calls")}
        num_roots = sum(len(front.ranks) for front in link.of("calls") if front.is_root)
        return "" if len(calls) > 1 or num_roots > 1 else "their calls agree"
    return "" if link.says == "free" and link.ranks("free") else "it says nothing that is known"


def called(link: Link, dumps: Dumps) -> set[str]:
    """What the ranks of a link called at its place."""
    found = set()
    for front in link.fronts:
        for i, rank in enumerate(front.ranks):
            ledger = dumps.ledgers.get(place(front.where, i, rank, dumps))
            group = find(ledger, link.group) if ledger and link.group else None
            found |= {one.call for one in group.collectives if one.number == link.seq} if group else set()
    return found


RULES = (words_agree, members_agree, orders_agree, parts_agree)

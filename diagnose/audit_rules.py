"""Whether the parts of a link fit each other and what it says: its words, members, order and calls. Pure."""

from diagnose.audit_fronts import Dumps, find, place
from diagnose.certificate import Link, said
from diagnose.model import named

LATE = ("awaited", "held", "silent", "untold")


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
ROLES_OF_TRANSFER = {role: lambda n, done, seq: done < n for role in ("waits", "meets", "held")}


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
    if link.says == "arrived" and link.transfer:
        both = link.ranks("waits", "meets") == sorted(link.transfer)
        return "" if both and link.of("waits") and link.of("meets") else "not both sides are there"
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

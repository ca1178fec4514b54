"""A certificate: what a cause rests on in the dumps, link by link, so that a script can test it again.

A link says how some ranks stand to one operation of one communicator; its fronts say how far each of these
ranks has come in it, and in which dump that can be read. Its text is made of its data, so the two agree.
"""

import msgspec

from diagnose.model import named

MAX_WHERE = 64  # dumps listed of one front: those of further ranks lie in the same folder
DONE = {
    "awaited": "never launched it",
    "held": "launched it behind what it waits in itself",
    "silent": "left no dump",
    "untold": "no dump of it shows it",
}


class Communicator(msgspec.Struct, frozen=True):
    """`ranks` in the group's own order; empty where no dump tells them.

    `name` is empty where each process has a name of its own for it: then it is the `index`-th of this
    description and these ranks that a process made, counted from 1. `index` is 0 where its name alone tells.
    """

    name: str
    desc: str
    ranks: list[int]
    index: int

    def title(self) -> str:
        return self.desc if self.desc and self.desc != "undefined" else f"group {self.name or '0'}"


class Front(msgspec.Struct, frozen=True):
    """Ranks that have come equally far in the link's communicator.

    Of a transfer `launched` and `completed` count this rank's operations with the other, not the group's.
    """

    role: str  # waits | meets | awaited | held | silent | untold | behind | done | begun | calls | free
    ranks: list[int]
    launched: int | None = None
    completed: int | None = None
    started: int | None = None  # where the link is about who has begun
    call: str = ""  # what they called at the place: `operation|element counts|dtypes`
    is_root: bool = False  # of a gather or a scatter, by their own word
    site: str = ""  # the line of the program that launched it
    basis: str = ""  # entries | status | report (of a failed operation: their own error) | none | stack
    where: list[str] = []  # the dump of each rank, of the first `MAX_WHERE`
    before: list[str] = []  # the dump of the scan before, with the same values


class Link(msgspec.Struct, frozen=True):
    """One step of the reasoning. `seq`: the collective, or the first open transfer of who waits."""

    says: str  # awaited | behind | arrived | differs | free | told (by a log or by stacks alone)
    text: str
    group: Communicator | None = None
    op: str = ""
    seq: int | None = None
    transfer: list[int] = []  # source and target
    fronts: list[Front] = []
    goes_on: bool = False  # others wait further on, and are left out here

    def of(self, *roles: str) -> list[Front]:
        return [front for front in self.fronts if front.role in roles]

    def ranks(self, *roles: str) -> list[int]:
        return sorted(rank for front in self.of(*roles) for rank in front.ranks)

    def place(self) -> str:
        """`all_reduce #12 (TP)`; a transfer as `send 4->5 #12 (PP)`."""
        title = self.group.title() if self.group else ""
        ends = f" {self.transfer[0]}->{self.transfer[1]}" if len(self.transfer) == 2 else ""
        return f"{self.op}{ends} #{self.seq} ({title})"


def said(link: Link) -> str:
    """The link in words."""
    tail = "; the chain goes on" if link.goes_on else ""
    if link.says == "awaited":
        late = link.ranks("awaited", "held", "silent", "untold")
        how = "; ".join(
            f"{named(front.ranks) + ' ' if len(late) > len(front.ranks) else ''}{DONE[front.role]}"
            for front in merged(link.of("awaited", "held", "silent", "untold"))
        )
        at, waiting = sites(link.of("waits")), named(link.ranks("waits"))
        return f"{named(late)} {be(late)} awaited by {waiting} in {link.place()}{at}: {how}{tail}"
    if link.says == "behind":
        late, done, begun = link.ranks("behind"), link.ranks("done"), link.ranks("begun")
        others = f"{named(done)} completed it" if done else f"{named(begun)} {have(begun)} begun it"
        return f"{named(late)} {be(late)} behind in {link.place()}: launched it, and {others}{tail}"
    if link.says == "arrived":
        everybody = link.ranks("waits", "meets")
        return f"{named(everybody)} all launched {link.place()}, and none completed it"
    if link.says == "differs":
        sides = "; ".join(
            f"{named(front.ranks)} called {front.call.replace('|', ' ').strip()}"
            f"{' as its root' if front.is_root else ''}{sites([front])}"
            for front in merged(link.of("calls"))
        )
        title = link.group.title() if link.group else ""
        return f"at #{link.seq} of {title} {sides}"
    free = link.ranks("free")
    return f"{named(free)} wait{'' if len(free) > 1 else 's'} for nobody: nothing launched there is open"


def merged(fronts: list[Front]) -> list[Front]:
    """Fronts that are told in the same words, as one."""
    found: dict[tuple[str, str, bool, str], Front] = {}
    for front in fronts:
        key = front.role, front.call, front.is_root, front.site
        known = found.get(key)
        ranks = [*(known.ranks if known else ()), *front.ranks]
        found[key] = msgspec.structs.replace(known or front, ranks=sorted(ranks))
    return list(found.values())


def sites(fronts: list[Front]) -> str:
    found = dict.fromkeys(front.site for front in fronts if front.site)
    return f" at {' and '.join(found)}" if found else ""


def be(ranks: list[int]) -> str:
    return "are" if len(ranks) > 1 else "is"


def have(ranks: list[int]) -> str:
    return "have" if len(ranks) > 1 else "has"

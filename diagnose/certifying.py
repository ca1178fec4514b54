"""The certificates of one look: who waits, in what, for whom, by whose dump. Pure.

A chain begins at ranks that wait for nobody and goes outward, to those that wait for them, and for these.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from diagnose.certificate import MAX_WHERE, Communicator, Front, Link, said
from diagnose.circles import holds_up
from diagnose.looks import Look
from diagnose.rendezvous import INIT
from diagnose.waiting import Member, Waiting, ranks

MAX_LINKS = 16  # of one chain
MAX_CHAINS = 16  # of a look that are told outward: each may list most ranks of the job
MAX_LOOKED_AT = 256  # waits that are looked at for one chain
MAX_DONE = 8  # one that completed it is enough


class Certifier:
    """What is asked of all waits of a look, worked out once."""

    def __init__(self, waits: Sequence[Waiting], look: Look) -> None:
        self.waits, self.look = waits, look
        self.heads = {(rank, w.group.key, w.seq) for w in waits for rank in w.heads}
        self.num_chains = 0
        self.held_up_by: dict[int, list[int]] = {}  # rank -> places of the waits that it holds up
        for num, w in enumerate(waits):
            for member in self.holders(w) if is_recorded(w) else ():
                self.held_up_by.setdefault(member.rank, []).append(num)
        self.next_of: dict[int, list[int]] = {}  # rank -> places of the waits that are next for it
        for num, w in enumerate(waits):
            for rank in w.heads:
                self.next_of.setdefault(rank, []).append(num)

    def awaited(self, w: Waiting, roots: Sequence[Member]) -> list[Link]:
        """The chain that begins at ranks which never launched an operation."""
        if not is_recorded(w):
            return []
        heard = [m for m in roots if self.dumps(m.rank)]
        free = [self.link("free", None, [*self.fronts(None, "free", heard)])] if heard else []
        return self.told(self.wait(w, roots, w.waiting), free, w, [*roots, *w.waiting])

    def behind(self, w: Waiting, roots: Sequence[Member]) -> list[Link]:
        """The chain that begins at ranks which did not complete, or begin, what the others did."""
        if not is_recorded(w):
            return []
        done = [m for m in w.group.members if m.completed >= w.seq][:MAX_DONE]
        begun = [] if done else [m for m in w.waiting if m.has_started(w.seq)]
        parts = [*self.fronts(w, "behind", roots, not done), *self.fronts(w, "done", done)]
        parts += self.fronts(w, "begun", begun, True)
        return self.told(self.link("behind", w, parts), [], w, [*roots, *begun])

    def arrived(self, w: Waiting) -> list[Link]:
        return [self.link("arrived", w, [*self.fronts(w, "waits", w.waiting)])] if is_recorded(w) else []

    def met(self, w: Waiting, other: Member) -> list[Link]:
        """That both sides launched a transfer."""
        fronts = [*self.fronts(w, "waits", w.waiting), *self.fronts(w, "meets", [other])]
        return [self.link("arrived", w, fronts)]

    def differs(self, w: Waiting) -> list[Link]:
        """Who says what at one place of the sequence; nothing where only a rank without a dump may differ."""
        sides = [
            (call, is_root, [m for m in who if m.is_root(w.seq) == is_root])
            for call, who in w.calls().items()
            for is_root in (False, True)
        ]
        num_roots = sum(len(who) for _, is_root, who in sides if is_root)
        if not is_recorded(w) or len(w.calls()) < 2 > num_roots:
            return []
        parts = [
            msgspec.structs.replace(front, call=call, is_root=is_root)
            for call, is_root, who in sides
            for front in self.fronts(w, "calls", who, with_site=True)
        ]
        return [self.link("differs", w, parts)]

    def circle(self, circle: Iterable[int]) -> list[Link]:
        """Each of the waits of a circle, with the place of the call."""
        members = set(circle)
        found = []
        for w in self.of_heads(members):
            here = [m for m in w.waiting if m.rank in members and m.rank in w.heads]
            others = self.holders(w) if w.group.is_pair else w.group.members
            late = [m for m in others if m.rank in members and m.rank not in w.heads and m.completed < w.seq]
            if here and late and is_recorded(w):
                found.append(self.wait(w, late, here, with_site=True))
            if len(found) == MAX_LINKS:
                break
        return found

    def of_heads(self, ranks: Iterable[int]) -> list[Waiting]:
        """What is next for some of these ranks."""
        nums = {num for rank in ranks for num in self.next_of.get(rank, ())}
        return [self.waits[num] for num in sorted(nums)]

    def told(self, first: Link, free: list[Link], w: Waiting, members: Sequence[Member]) -> list[Link]:
        """A chain: its first link, and who waits for those; of one past the limit only that they do."""
        known = set(ranks(members))
        if self.num_chains < MAX_CHAINS:
            outward = self.outward(w, known)
            self.num_chains += bool(outward)
            return [first, *free, *outward]
        others = {num for rank in known for num in self.held_up_by.get(rank, ())[:MAX_LOOKED_AT]}
        goes_on = any(m.rank not in known for num in others for m in self.waits[num].waiting)
        return [continued(first) if goes_on else first, *free]

    def outward(self, first: Waiting, known: set[int]) -> list[Link]:
        """Who waits for those, and for these in turn, nearest first, until nobody new is reached."""
        links: list[Link] = []
        todo, seen = deque(sorted(known)), {id(first)}
        while todo:
            for num in self.held_up_by.get(todo.popleft(), ()):
                w = self.waits[num]
                new = [m for m in w.waiting if m.rank not in known] if id(w) not in seen else []
                seen.add(id(w))
                if (new and len(links) == MAX_LINKS) or len(seen) > MAX_LOOKED_AT:
                    return [*links[:-1], *map(continued, links[-1:])]
                if new:
                    links.append(self.wait(w, [m for m in self.holders(w) if m.rank in known], new))
                    known |= set(ranks(new))
                    todo.extend(ranks(new))
        return links

    def holders(self, w: Waiting) -> list[Member]:
        """Who holds it up: those that have not launched it, and in order those with something older open."""
        if w.group.is_pair:
            return [m for m in w.group.members if m in w.awaited or holds_up(m, w, self.heads)]
        queued = [m for m in w.waiting if m.rank not in w.heads] if w.group.in_order else []
        return [*w.awaited, *queued]

    def wait(
        self, w: Waiting, late: Sequence[Member], waiting: Sequence[Member], with_site: bool = False
    ) -> Link:
        roles: dict[str, list[Member]] = {}
        for member in late:
            roles.setdefault(self.lateness(w, member), []).append(member)
        parts = [front for role, some in roles.items() for front in self.fronts(w, role, some)]
        return self.link("awaited", w, [*parts, *self.fronts(w, "waits", waiting, with_site=with_site)])

    def lateness(self, w: Waiting, member: Member) -> str:
        if member.launched < 0:
            return "silent"
        if member.launched >= w.seq:
            return "held"
        return "awaited" if w.group.is_pair or member.known else "untold"

    def link(self, says: str, w: Waiting | None, fronts: list[Front]) -> Link:
        made = Link(says=says, text="", fronts=fronts)
        if w is not None:
            made = msgspec.structs.replace(
                made, group=communicator(w), op=w.op(), seq=w.seq, transfer=ends(w) if w.group.is_pair else []
            )
        return msgspec.structs.replace(made, text=said(made))

    def fronts(
        self,
        w: Waiting | None,
        role: str,
        members: Iterable[Member],
        with_start: bool = False,
        with_site: bool = False,
    ) -> Iterator[Front]:
        """Members by how far they have come, lowest rank first."""
        parts: dict[tuple[object, ...], list[Member]] = {}
        for m in sorted(members, key=lambda m: m.rank):
            came = (None, None, "") if w is None else reached(w, m)
            started = m.event.data.get("started") if with_start and m.event else None
            site = m.site(w.seq) if with_site and w else ""
            parts.setdefault((*came, started, site), []).append(m)
        for (launched, completed, basis, started, place), some in parts.items():
            dumps = [self.dumps(m.rank) for m in some[:MAX_WHERE]]
            yield Front(
                role=role,
                ranks=ranks(some),
                launched=launched if isinstance(launched, int) else None,
                completed=completed if isinstance(completed, int) else None,
                started=started if isinstance(started, int) else None,
                site=str(place),
                basis=str(basis),
                where=[two[-1] for two in dumps if two],
                before=[two[0] for two in dumps if len(two) > 1] if all(len(t) > 1 for t in dumps) else [],
            )

    def dumps(self, rank: int) -> list[str]:
        """The files of a rank's newest two dumps of the look, the newest last."""
        return [event.where for event in self.look.each(rank, "flight.read")][-2:]


def is_recorded(w: Waiting) -> bool:
    """Whether dumps show it, and not stacks or hooks alone."""
    return w.seq > 0 and not w.inferred and w.group.name != INIT


def reached(w: Waiting, member: Member) -> tuple[int | None, int | None, str]:
    """(launched, completed, basis) of a member as its dump has them; none where it tells nothing."""
    if member.launched < 0:
        return None, None, ""
    data = member.event.data if member.event else {}
    if w.group.is_pair:
        side = data.get("side")
        launched, num_open = (side.get("launched"), side.get("open")) if isinstance(side, dict) else (0, 0)
        if not isinstance(launched, int) or not isinstance(num_open, int):
            launched = num_open = 0
        return launched, launched - num_open, "entries"
    if not member.known:
        return None, None, "none"
    done, basis = data.get("completed"), data.get("basis")
    if not w.group.in_order and isinstance(done, int) and done > member.completed:
        return member.launched, member.completed, "report"
    is_status = basis == "status" and data.get("launched") == member.launched
    return member.launched, member.completed, "status" if is_status else "entries"


def communicator(w: Waiting) -> Communicator:
    first = next((m.event for m in [*w.waiting, *w.group.members] if m.event), None)
    data = first.data if first else {}
    told = data.get("ranks")
    key = w.group.key[:-1] if w.group.is_pair else w.group.key
    index = key[-1] if len(key) > 1 and isinstance(key[-1], int) else 0
    return Communicator(
        name=str(key[-2]) if index else w.group.name,
        desc=str(data.get("desc") or w.group.desc),
        ranks=[r for r in told if isinstance(r, int)] if isinstance(told, list) and told else members(w),
        index=index,
    )


def members(w: Waiting) -> list[int]:
    return ranks(w.group.members) if w.group.is_whole else []


def ends(w: Waiting) -> list[int]:
    """Source and target of a transfer."""
    own = w.waiting[0].rank
    other = next(m.rank for m in w.group.members if m.rank != own)
    return [own, other] if w.op() == "send" else [other, own]


def continued(link: Link) -> Link:
    made = msgspec.structs.replace(link, goes_on=True)
    return msgspec.structs.replace(made, text=said(made))

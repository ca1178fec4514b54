"""Stacks of all ranks at the decisive look, merged: ranks that stand at the same place are one class. Pure.

What differs though nothing is different is left out: line numbers of libraries, lines that were seen to move
(a loop), the depth of a recursion, wrappers, names made of hashes. The cut keeps the program's own frames and
the one that says what the rank does.
"""

import re
from collections.abc import Collection
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

from diagnose.looks import Look, decisive
from diagnose.model import Event, Evidence, Record
from diagnose.stackframes import by_stack, frames, is_library, paths

WRAPPERS = {"_call_impl", "_wrapped_call_impl", "_call_with_frames_removed", "decorate_context", "_fn"}
WRAPPER_FILES = {"c10d_logger.py", "runpy.py"}
RUNS_THROUGH = {"compile", "import"}  # what these do inside changes all the time
VOLATILE = (
    (re.compile(r"^c[a-z2-7]{40,60}(?=\.py$)"), "<compiled>"),  # a compiled graph's file is a hash
    (re.compile(r"(?<=>)\.\d+$"), ""),  # <eval_with_key>.7
    (re.compile(r"\b0x[0-9a-fA-F]+"), "0x"),
)
KEEP = 64  # frames of a class

Place = tuple[str, str]  # function and file, without what is volatile


class Merged(Record, frozen=True):
    """One class of ranks. `frames` are innermost first; the last `num_shared` are shared by all classes.

    `moved`: whether frames differed between the two samples, for all of its ranks alike (None: for some, or
    there was one sample), in the function `parted`.
    """

    ranks: list[int]
    odd: bool
    moved: bool | None
    parted: str
    frames: list[str]
    num_shared: int
    where: str  # the newest sample of the lowest rank
    num_frames: int  # before the cut


class Frame(NamedTuple):
    text: str  # as on the stack
    place: Place
    line: int | None
    is_own: bool  # of the program itself
    is_noise: bool


class Sample(NamedTuple):
    """One rank's newest stack that shows anything, and how it differs from the first one."""

    event: Event
    moved: bool | None
    parted: str
    loose: set[
        Place
    ]  # functions of the program whose line is a moment's: it changed, or the thread was running


class Cut(NamedTuple):
    """What is kept of a stack: `head` is the library's side of it, `own` the program's."""

    word: str  # compile, collective, ...; empty where the stack alone does not say
    head: list[Frame]
    own: list[Frame]


@lru_cache(maxsize=1 << 16)
def read(text: str, path: str) -> Frame:
    """
    >>> read("f.<locals>.g (train.py:12)", "/app/train.py")[1:4]
    (('g', 'train.py'), 12, True)
    """
    function, _, rest = text.partition(" (")
    file, _, line = rest.removesuffix(")").rpartition(":")
    name, file = function.rpartition(".")[2], file.rpartition("/")[2]
    for pattern, word in VOLATILE:
        name, file = pattern.sub(word, name), pattern.sub(word, file)
    is_noise = name in WRAPPERS or file in WRAPPER_FILES or file.startswith("<")
    is_own = not is_noise and not is_library(path)
    return Frame(text, (name, file), int(line) if line.isdecimal() else None, is_own, is_noise)


def stack(event: Event) -> list[Frame]:
    """A stack's frames, innermost first."""
    texts, files = frames(event), paths(event)
    files += [""] * (len(texts) - len(files))
    return [read(text, path) for text, path in zip(texts, files, strict=False)]


def merge(evidence: Evidence, culprits: Collection[int] = ()) -> list[Merged]:
    """The classes at the decisive look: those of culprits first, then the smaller, so the odd one leads."""
    look = decisive(evidence)
    return classes(look, frozenset(culprits)) if look else []


def classes(look: Look, culprits: frozenset[int]) -> list[Merged]:
    """The same of one look."""
    newest = samples(look)
    cuts = {rank: cut(one.event) for rank, one in newest.items()}
    loose = frozenset().union(*(one.loose for one in newest.values()))
    found: dict[object, list[int]] = {}
    for rank in sorted(newest):
        found.setdefault(key(cuts[rank], loose), []).append(rank)
    parts = list(found.values())
    odd = odd_ones(parts, culprits)
    order = sorted(zip(odd, parts, strict=True), key=lambda pair: (not pair[0], len(pair[1]), pair[1]))
    shown = [lines(ranks, cuts) for _, ranks in order]
    shared = common(shown)
    return [
        merged(ranks, is_odd, text, min(shared, len(text)), newest)
        for (is_odd, ranks), text in zip(order, shown, strict=True)
    ]


def odd_ones(parts: list[list[int]], culprits: frozenset[int]) -> list[bool]:
    """The classes of culprits where others have none, else those smaller than the largest."""
    guilty = [not culprits.isdisjoint(ranks) for ranks in parts]
    if any(guilty) and not all(guilty):
        return guilty
    return [len(ranks) < max(map(len, parts)) for ranks in parts]


def merged(
    ranks: list[int], is_odd: bool, text: list[str], num_shared: int, newest: dict[int, Sample]
) -> Merged:
    moved = {newest[rank].moved for rank in ranks}
    parted = {newest[rank].parted for rank in ranks}
    first = newest[ranks[0]].event
    return Merged(
        ranks=ranks,
        odd=is_odd,
        moved=moved.pop() if len(moved) == 1 else None,
        parted=parted.pop() if len(parted) == 1 else "",
        frames=text,
        num_shared=num_shared,
        where=first.where,
        num_frames=len(frames(first)),
    )


def samples(look: Look) -> dict[int, Sample]:
    """The newest stack of each rank; an empty one (it was ending) only where there is no other."""
    first: dict[int, Event] = {}
    last: dict[int, Event] = {}
    for scan in look.scans:
        of_scan: dict[int, Event] = {}
        for event in sorted((e for e in scan if e.kind == "stack.read"), key=lambda e: e.where):
            if event.rank is not None and (frames(event) or event.rank not in of_scan):
                of_scan[event.rank] = event
        for rank, event in of_scan.items():
            if rank not in last or frames(event) or not frames(last[rank]):
                first.setdefault(rank, event)
                last[rank] = event
    return {rank: sample(first[rank], event) for rank, event in last.items()}


def sample(before: Event, after: Event) -> Sample:
    """The newer of two stacks, held against the older one where the same tool took both."""
    old, new = stack(before), stack(after)
    loose = {new[0].place} if new and new[0].is_own and after.data.get("active") else set()
    if before is after or before.data.get("via") != after.data.get("via") or not old:
        return Sample(after, None, "", loose)
    if frames(before) == frames(after):
        return Sample(after, False, "", loose)
    parted, is_parted = "", False
    for one, other in zip(reversed(old), reversed(new), strict=False):
        if one.place != other.place:
            break
        if not is_parted and not other.is_noise:
            parted = f"{short(other)} ({other.place[1]})"
        if one.line != other.line:
            is_parted = True
            loose |= {other.place} if other.is_own else set()
    return Sample(after, True, parted, loose)


def cut(event: Event) -> Cut:
    """The program's own frames, and of the libraries' the innermost and the one that says what it does."""
    whole = stack(event)
    word, decider = by_stack(event) or ("", "")
    at = next((i for i, frame in enumerate(whole) if frame.text == decider), None) if word else None
    inner = at if at is not None and word in RUNS_THROUGH else 0
    own = [frame for frame in whole[inner:] if frame.is_own]
    own = [next(same) for _, same in groupby(own, key=lambda frame: (frame.place, frame.line))]
    leaf = next((i for i, frame in enumerate(whole) if frame.is_own), len(whole))
    library = [frame for frame in whole[:leaf] if not frame.is_noise] or whole[: leaf and 1]
    ends = library[:1] + ([whole[at]] if at is not None else library[1:][-1:])
    head = [next(same) for _, same in groupby(ends, key=lambda frame: frame.place)]
    return Cut(word, [frame for frame in head if not frame.is_own], own)


def key(cut: Cut, loose: Collection[Place]) -> object:
    """What the ranks of one class have in common."""
    runs_through = cut.word in RUNS_THROUGH
    head = () if runs_through else tuple(f.place for f in (cut.head[-1:] if cut.word else cut.head))
    own = tuple((f.place, None if f.place in loose else f.line) for f in cut.own)
    return cut.word if runs_through else "", head, own


def lines(ranks: list[int], cuts: dict[int, Cut]) -> list[str]:
    """A class's frames in words: those of its lowest rank, with the lines of all."""
    first = cuts[ranks[0]]
    shown = [f"{short(frame)} ({frame.place[1]})" for frame in first.head]
    for position, frame in enumerate(first.own):
        seen = {line for rank in ranks if (line := cuts[rank].own[position].line) is not None}
        span = str(min(seen)) if len(seen) == 1 else f"{min(seen)}-{max(seen)}" if seen else "?"
        shown.append(f"{short(frame)} ({frame.place[1]}:{span})")
    return shown[:KEEP]


def short(frame: Frame) -> str:
    """The function as it is called on the stack, without the functions around it."""
    return frame.text.partition(" (")[0].rpartition(".<locals>.")[2]


def common(shown: list[list[str]]) -> int:
    """How many outermost frames all classes share; each keeps one of its own. One class shares all."""
    some = [texts for texts in shown if texts]
    if len(some) < 2:
        return max(map(len, some), default=0)
    num = 0
    for column in zip(*(reversed(texts) for texts in some), strict=False):
        if len(set(column)) > 1:
            break
        num += 1
    return min(num, *(len(texts) - 1 for texts in some))

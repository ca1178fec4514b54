"""Where in its program a rank stands: its own innermost frame, and the call it makes there. Pure."""

from diagnose.looks import Look
from diagnose.model import Event
from diagnose.stackframes import own_frame

# frame, path, line, call, loops ([first, last], outermost first), and arms: the branches it is in
# ([line of the `if`, whether it holds, whether the branch leads elsewhere])
Place = dict[str, object]


def listed(placed: Event) -> list[Place]:
    """The places of one rank, innermost first."""
    told = placed.data.get("places")
    return [place for place in told if isinstance(place, dict)] if isinstance(told, list) else []


def call(look: Look, rank: int) -> tuple[str, str]:
    """A rank's own frame, and the text of the call it makes there; empty where either is not known."""
    stack, placed = look.last("stack.read").get(rank), look.last("stack.placed").get(rank)
    frame = own_frame(stack) if stack else ""
    rows = listed(placed) if placed else []
    return frame, next((str(row.get("call", "")) for row in rows if row.get("frame") == frame), "")


def site(look: Look, rank: int) -> str:
    """`main (train.py:29), `dist.barrier()``; empty where no stack tells."""
    frame, text = call(look, rank)
    return f"{frame}, `{text}`" if text else frame


def sites(look: Look, ranks: list[int]) -> str:
    """` at ` and the places where ranks stand, each once; empty where no stack tells."""
    found = dict.fromkeys(filter(None, (site(look, rank) for rank in ranks)))
    return f" at {' and '.join(found)}" if found else ""


def parting(own: Event, other: Event) -> tuple[Place, Place] | None:
    """The frames of the outermost function in which two ranks stand at different lines, if there is one."""
    for mine, theirs in zip(reversed(listed(own)), reversed(listed(other)), strict=False):
        if (mine.get("path"), function(mine)) != (theirs.get("path"), function(theirs)):
            return None
        if mine.get("line") != theirs.get("line"):
            return mine, theirs
    return None


def function(place: Place) -> str:
    return str(place.get("frame")).partition(" (")[0]


def pairs(value: object) -> list[list[int]]:
    rows = value if isinstance(value, list) else []
    return [row for row in rows if isinstance(row, list) and row and all(isinstance(n, int) for n in row)]


def arms(place: Place) -> dict[int, list[int]]:
    return {arm[0]: arm[1:] for arm in pairs(place.get("arms"))}


def are_branches(one: Place, two: Place) -> bool:
    """Whether two places are in different branches of one `if`."""
    mine, theirs = arms(one), arms(two)
    return any(mine[line][:1] != theirs[line][:1] for line in mine.keys() & theirs.keys())


def are_choices(one: Place, two: Place) -> bool:
    """Whether a program comes to one of two places or to the other, as far as is known."""
    if "arms" not in one or "arms" not in two or are_branches(one, two):
        return True
    mine, theirs = arms(one), arms(two)
    alone = [arm for line, arm in {**mine, **theirs}.items() if line not in mine or line not in theirs]
    return any(arm[1:] == [1] for arm in alone)

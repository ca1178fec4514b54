"""Where in its program a rank stands: its own innermost frame, and the call it makes there. Pure."""

from diagnose.activity import own_frame
from diagnose.looks import Look
from diagnose.model import Event

Place = dict[str, object]  # frame, path, line, loops ([first, last], outermost first), call


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

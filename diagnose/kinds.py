"""The kinds of evidence that can be read and the events they give, in Markdown, told by the sources."""

from collections.abc import Sequence
from types import ModuleType
from typing import NamedTuple

from diagnose import lines
from diagnose.pipeline import modules, name_of


class Kind(NamedTuple):
    name: str  # of a source, or of a family of lines
    says: str
    events: dict[str, str]  # kind -> meaning
    is_source: bool


def kinds() -> list[Kind]:
    """Sources first, then the families of lines that are looked for in logs; each event once."""
    found = [kind(source, is_source=True) for source in modules("diagnose.sources")]
    families = [kind(family, is_source=False) for family in lines.families()]
    of_lines = lines.events()
    own = [
        one._replace(events={name: says for name, says in one.events.items() if name not in of_lines})
        for one in found
    ]
    return [*own, *families]


def kind(module: ModuleType, is_source: bool) -> Kind:
    says = " ".join((module.__doc__ or "").partition("\n\n")[0].split())
    return Kind(name_of(module), says, module.EVENTS, is_source)


def table(found: Sequence[Kind]) -> str:
    """Each kind of evidence in a row; ends without a newline."""
    rows = ["| evidence | what it is | events |", "|---|---|---|"]
    for one in found:
        events = ", ".join(f"`{name}`" for name in one.events if name != "source.unreadable")
        name = f"`{one.name}`" if one.is_source else f"lines: {one.name.replace('_', ' ')}"
        rows.append(f"| {name} | {one.says} | {events} |")
    return "\n".join(rows)


def meanings(found: Sequence[Kind]) -> str:
    """Every event with its meaning, by kind of evidence; ends in a newline."""
    parts = ["# Kinds of evidence\n"]
    for one in found:
        title = f"`{one.name}`" if one.is_source else f"Lines in logs: {one.name.replace('_', ' ')}"
        events = "".join(f"- `{name}`: {says}\n" for name, says in one.events.items())
        parts.append(f"## {title}\n\n{one.says}\n\n{events}" if events else f"## {title}\n\n{one.says}\n")
    return "\n".join(parts)

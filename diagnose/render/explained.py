"""Why a failure was or was not concluded, as Markdown that reads well on a terminal."""

from collections.abc import Iterator

from diagnose.model import named
from diagnose.render.rows import safe, short
from diagnose.verdict import Answer, Explained

OUTCOME = {
    "cause": "concluded: a cause",
    "context": "concluded: context, never a cause",
    "aftermath": "seen: an aftermath, never a cause",
    "root": "seen, and no cause: nothing of it is left unexplained",
    "explained": "seen, and explained by",
    "absent": "not concluded: it is absent",
    "unknown": "not concluded: it is unknown",
}
PART = {"when": "Needed", "unless": "Ruled out by", "confirm": "Proven by"}


def render(told: Explained) -> str:
    """The clauses in their three groups, each with its answer and lines; ends in a newline."""
    outcome = " ".join([OUTCOME[told.concluded], *(f"`{name}`" for name in told.by)])
    grade = f", {told.grade}" if told.grade else ""
    who = f"; {named(told.ranks)}" if told.ranks else ""
    lines = [f"# {safe(told.title)}", "", f"`{told.failure}` {outcome}{grade}{who}."]
    for part, title in PART.items():
        rows = [row for answer in told.clauses if answer.part == part for row in clause(answer)]
        lines += ["", f"## {title}", "", *rows] if rows else []
    return "\n".join(lines) + "\n"


def clause(answer: Answer) -> Iterator[str]:
    who = ", ".join([*([named(answer.ranks)] if answer.ranks else []), *map(safe, answer.nodes)])
    yield f"- **{answer.answer}**: {answer.clause}" + (f" ({who})" if who else "")
    for line in answer.lines:
        yield f"  - {safe(line.text)}" + (f" (`{short(line.where)}`)" if line.where else "")
    for line in answer.near:
        yield f"  - seen, but not so: {safe(line.text)}" + (f" (`{short(line.where)}`)" if line.where else "")
    if answer.answer == "unknown":
        yield f"  - would settle it: {', '.join(answer.missing) or 'a later look'}"
    elif answer.answer == "no" and not answer.near:
        yield "  - nothing of the kind in what was read"

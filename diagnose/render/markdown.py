"""A verdict for an incident channel: the same words in Markdown."""

import re
from collections.abc import Iterator

from diagnose.playbook import Playbook
from diagnose.render.rows import Page, Row
from diagnose.render.sorting import whole
from diagnose.verdict import Verdict


def escape(text: str) -> str:
    r"""
    >>> escape("a_b <c> `d`")
    'a\\_b \\<c\\> \\`d\\`'
    """
    return re.sub(r"([\\`*_<>\[\]|#~])", r"\\\1", text)


def code(text: str) -> str:
    """A code span around any text, backquotes too."""
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    pad = " " if "`" in text else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def render(verdict: Verdict, book: Playbook, full: bool = False) -> str:
    """The verdict as Markdown, ending in a newline."""
    return lay(whole(verdict, book, full))


def lay(laid: Page) -> str:
    """A page as Markdown, ending in a newline."""
    facts = ", ".join(escape(part) for part in (laid.size, laid.state) if part)
    lines = [f"# {laid.symptom}: {escape(laid.name)}", *(["", facts] if facts else [])]
    for section in laid.sections:
        lines += ["", f"**{section.label.capitalize()}**", ""]
        for row in section.rows:
            lines += item(row)
    return "\n".join(lines) + "\n"


def item(row: Row) -> Iterator[str]:
    text = row.text.strip()
    if row.role == "code":
        yield f"  {escape(text)}"
        return
    if row.role in {"frame", "matrix"}:
        yield f"  - {code(row.text.rstrip() if row.role == 'matrix' else text)}"
        return
    right = f" ({code(row.right)})" if row.role == "place" and row.right else ""
    right = right or (f" ({escape(row.right)})" if row.right else "")
    left = escape(re.sub(r"^\d {2}", "", text))
    yield f"- **{left}**{right}" if row.role == "head" else f"- {re.sub(' {2,}', ': ', left, count=1)}{right}"

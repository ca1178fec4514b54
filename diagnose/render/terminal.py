"""A verdict for a terminal: who, why, how sure and what now on the first screen."""

import os
import re
import textwrap
from collections.abc import Iterator

import click

from diagnose.playbook import Playbook
from diagnose.render.rows import Page, Row
from diagnose.render.sorting import whole
from diagnose.verdict import Verdict

INDENT = 11  # two spaces, a label of up to eight, a space
COLOUR = {"HANG": "red", "CRASH": "red", "SLOW": "yellow", "NOTHING WRONG FOUND": "green"} | {
    "DO NOT START": "red",
    "WARNINGS": "yellow",
    "PASSED": "green",
}


def width(is_terminal: bool) -> int:
    """Columns to fill: the terminal's, 80 where there is none, never beyond what one reads in a line."""
    if not is_terminal:
        return 80
    try:
        return max(40, min(os.get_terminal_size(2).columns, 110))
    except OSError:
        return 80


def render(verdict: Verdict, book: Playbook, columns: int = 80, full: bool = False) -> str:
    """The verdict as styled text; `show` prints it without styles where they are not wanted."""
    return lay(whole(verdict, book, full), columns)


def lay(laid: Page, columns: int = 80) -> str:
    """A page as styled text."""
    lines = list(top(laid, columns))
    for section in laid.sections:
        lines.append("")
        label = click.style(f"  {section.label:{INDENT - 2}}", bold=True)
        for row in section.rows:
            for line in body(row, columns - INDENT):
                lines.append((label + line).rstrip())
                label = " " * INDENT
    return "\n".join(lines) + "\n"


def top(laid: Page, columns: int) -> Iterator[str]:
    symptom = click.style(laid.symptom, fg=COLOUR.get(laid.symptom), bold=True)
    tail = f"  {laid.state}" if laid.state else ""
    head = "   ".join(part for part in (f"{laid.what}  {laid.name}", laid.size) if part)
    if len(head) + 3 + len(laid.symptom) + len(tail) <= columns:
        yield f"{head}   {symptom}{tail}"
    else:
        yield head
        yield f"     {symptom}{tail}"


def body(row: Row, columns: int) -> Iterator[str]:
    """One row, folded to `columns`; its right side flush right, on the same line where both fit."""
    text, right = row.text, row.right
    if row.role == "code":
        yield from hang(text, columns)
        return
    if row.role == "matrix":  # its columns stay; what ends in `!` is odd
        yield re.sub(r"\S+!", lambda odd: click.style(odd[0], fg="red", bold=True), text)
        return
    room = columns - len(right) - 2 if right else columns
    lines = hang(text, columns if room < 24 or row.role == "place" else room)
    if not right:
        yield from (style(row, line) for line in lines)
        return
    shown = right if len(right) <= columns else "..." + right[3 - columns :]
    fits_first = row.role != "place" and len(lines[0]) + 2 + len(shown) <= columns
    fits_last = row.role == "place" and len(lines[-1]) + 2 + len(shown) <= columns
    mark = click.style(shown, dim=row.role == "place", bold=row.role == "head")
    for num, line in enumerate(lines):
        if (fits_first and num == 0) or (fits_last and num == len(lines) - 1):
            yield style(row, line) + " " * (columns - len(line) - len(shown)) + mark
        else:
            yield style(row, line)
    if not fits_first and not fits_last:
        yield " " * (columns - len(shown)) + mark


def hang(text: str, columns: int) -> list[str]:
    """Fold at spaces; what follows is set in by the text's own lead (`1  `, `no      `)."""
    lead = len(text) - len(text.lstrip())
    found = re.match(r" *(?:\d|yes|no|unknown) {2,}", text)
    later = " " * (found.end() if found else lead)
    return textwrap.wrap(
        text,
        columns,
        subsequent_indent=later,
        break_long_words=True,
        break_on_hyphens=False,
        drop_whitespace=True,
        replace_whitespace=False,
    ) or [""]


def style(row: Row, line: str) -> str:
    return click.style(line, bold=True) if row.role == "head" else line


def show(text: str, err: bool = False) -> None:
    """Print styled text: plain when not a terminal, or when NO_COLOR is set."""
    click.echo(text, nl=False, err=err, color=False if os.environ.get("NO_COLOR") else None)

"""A comparison as a page: what differs, the most suspicious first, then figures, then what is not known."""

from collections.abc import Iterator

import msgspec

from diagnose.comparison import Comparison, Difference, Figure, Side, Span, Untold
from diagnose.model import size
from diagnose.playbook import Playbook
from diagnose.render.rows import Page, Row, Section, count, safe

NUM_DIFFERENCES = 12  # on the first screen,
NUM_CAUSES = 4  # what each can cause
NUM_UNKNOWN = 8
LONGEST = 160


def page(told: Comparison, book: Playbook, full: bool = False) -> Page:
    """Lay a comparison out. `full` leaves nothing away."""
    marked = [one for one in told.differences if not one.minor]
    minor = [one for one in told.differences if one.minor]
    sections = [
        Section("A", list(side_rows(told.a))),
        Section("B", list(side_rows(told.b))),
        Section("NOT", [Row(safe(reason), role="head") for reason in told.reasons]),
        Section("CHANGED", list(changed_rows(marked, book, full))),
        Section("FIGURES", list(figure_rows(told))),
        Section("UNKNOWN", list(unknown_rows(told.unknown, full))),
        Section("DOUBT", [Row(safe(doubt)) for doubt in told.doubts]),
        Section("ALSO", [Row(f"{safe(one.title)}: {change(one)}") for one in minor] if full else []),
        Section("NOT TOLD", [Row(f"by neither: {', '.join(map(safe, told.not_told))}")] if full else []),
    ]
    return Page(
        name=f"{safe(told.a.run)} > {safe(told.b.run)}",
        size="",
        symptom=headline(told, len(marked)),
        state="",
        sections=[section for section in sections if section.rows],
        what="compare",
    )


def headline(told: Comparison, num: int) -> str:
    if not told.comparable:
        return "NOT COMPARABLE"
    if num:
        return f"{count(num, 'DIFFERENCE')}".upper()
    return {0: "THE SAME", 1: "OTHER FIGURES", 3: "COULD NOT TELL"}[told.exit_code()]


def side_rows(side: Side) -> Iterator[Row]:
    lane = f", lane {safe(side.lane)}" if side.lane else ""
    yield Row(
        f"{safe(side.run)}{lane}, {safe(side.ended)}",
        safe(side.where) if not side.where.endswith(side.run) else "",
    )
    if side.lacks:
        yield Row(f"not a receipt: {'; '.join(map(safe, side.lacks))}")


def changed_rows(found: list[Difference], book: Playbook, full: bool) -> Iterator[Row]:
    for one in found if full else found[:NUM_DIFFERENCES]:
        yield Row(f"{safe(one.title)}: {change(one)}", one.apart, role="head")
        yield Row(f"why: {safe(one.why)}")
        causes = one.can_cause if full else one.can_cause[:NUM_CAUSES]
        if causes:
            yield Row(f"can cause: {', '.join(title(cause, book) for cause in causes)}")
    if not full and len(found) > NUM_DIFFERENCES:
        yield Row(f"and {count(len(found) - NUM_DIFFERENCES, 'other')}: -v")


def title(failure: str, book: Playbook) -> str:
    return f"{failure} ({safe(book.failures[failure].title)})" if failure in book.failures else safe(failure)


def change(one: Difference) -> str:
    """`2.8.0 > 2.9.1`."""
    return f"{value(one.before, one.how)} > {value(one.after, one.how)}"


def value(found: object, how: str = "text") -> str:
    """
    >>> value(3 << 30, "bytes"), value(True), value("a" * 4), value(0.25, "number")
    ('3.0 GiB', 'yes', 'aaaa', '0.25')
    """
    if isinstance(found, bool):
        return "yes" if found else "no"
    text = size(found) if how == "bytes" else f"{found:g}" if isinstance(found, float) else safe(str(found))
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def figure_rows(told: Comparison) -> Iterator[Row]:
    for reason in told.not_measured if told.comparable else ():
        yield Row(f"not compared: {safe(reason)}")
    for one in told.figures:
        yield Row(f"{safe(one.title)}: {spread(one.before, one)} > {spread(one.after, one)}", judged(one))


def judged(one: Figure) -> str:
    ratio = f"x {one.ratio:.3g}" if one.ratio is not None else ""
    word = {True: "differs", False: "within the spread", None: ""}[one.differs]
    return ", ".join(part for part in (ratio, word) if part)


def spread(span: Span | None, one: Figure) -> str:
    if span is None:
        return "not known"

    def shown(number: float) -> str:
        unit = f" {one.unit}" if one.unit not in ("", "bytes") else ""
        return size(number) if one.unit == "bytes" else f"{number:.4g}{unit}"

    is_one = span.low is None or span.high is None or span.low == span.high
    between = "" if is_one else f" ({shown(span.low or 0.0)} to {shown(span.high or 0.0)})"
    return shown(span.value) + between


def unknown_rows(found: list[Untold], full: bool) -> Iterator[Row]:
    shown = found if full else [one for one in found if one.missing != "both"][:NUM_UNKNOWN]
    for one in shown:
        yield Row(f"{safe(one.title)}: {unknown(one)}")
    if len(found) > len(shown):
        yield Row(f"and {count(len(found) - len(shown), 'other')}: -v")


def unknown(one: Untold) -> str:
    if one.missing == "both":
        return safe(one.why)
    given = value(one.told, one.how)
    if one.missing == "hidden":
        return f"{given} in both, which may hide a difference"
    side = one.missing.upper()
    how = "ended before its first step, and may not have come so far" if one.early else "does not tell it"
    return f"{side} {how}; the other: {given}"


def encode(told: Comparison) -> str:
    """The JSON object, with `schema` first, ending in a newline."""
    plain = msgspec.to_builtins(told)
    body = msgspec.json.encode({"schema": plain.pop("schema"), **plain})
    return msgspec.json.format(body, indent=1).decode() + "\n"

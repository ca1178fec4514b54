"""What a page says beside its causes: what was not seen, read or concluded, and what would settle it."""

from collections.abc import Iterator

from diagnose.model import Coverage, named
from diagnose.playbook import Playbook
from diagnose.render.rows import Row, count, headline, safe, said_of, short
from diagnose.verdict import Cause, Move, Verdict

NUM_EVIDENCE = 4  # lines of what is told as context,
NUM_UNKNOWN = 5  # failures that could be so,
NUM_COLLECT = 4  # commands that fetch what would settle them,
NUM_FILES = 6  # files, where no cause was found, and lines of them, that the first screen holds


def title_of(source: str, book: Playbook) -> str:
    return safe(book.sources[source].title) if source in book.sources else source.replace("_", " ")


def gap_rows(coverage: dict[str, Coverage], full: bool) -> Iterator[Row]:
    """The ranks that a source did not show, and why. A source that shows no rank at all is not a gap."""
    gaps: dict[tuple[str, tuple[int, ...]], list[str]] = {}
    for source, seen in coverage.items():
        if not seen.present and not seen.refused and not full:
            continue
        why: dict[str, list[int]] = {}
        for word, ranks in (("missing", seen.missing), ("refused", seen.refused), ("stale", seen.stale)):
            for rank in ranks:
                why.setdefault(safe(seen.reason.get(str(rank), word)), []).append(rank)
        for reason, found in why.items():
            gaps.setdefault((reason, tuple(found)), []).append(safe(source.replace("_", " ")))
    for (reason, mine), sources in gaps.items():
        yield Row(f"{named(list(mine))}: no {', no '.join(sources)} ({reason})")


def context_rows(verdict: Verdict, full: bool) -> Iterator[Row]:
    has_cause = bool(verdict.causes)
    for cause in verdict.context:
        text = said_of(earlier(cause, verdict.run.attempts), headline(cause))
        yield Row(text, "" if has_cause else cause.grade, "line" if has_cause else "head")
        for citation in cause.evidence[: None if full else NUM_EVIDENCE] if full or not has_cause else ():
            yield Row(safe(citation.text), short(citation.where), "place")
        for remedy in cause.remedies[: None if full else 1] if full or not has_cause else ():
            yield Row(f"to do: {safe(remedy.title)}")


def earlier(cause: Cause, attempts: list[str]) -> str:
    """`attempt ta-1` where what is told ended that one, and the run went on in another; else nothing."""
    places = "\n".join(citation.where for citation in cause.evidence)
    return next((f"attempt {safe(name)}" for name in attempts[:-1] if f"attempts/{name}/" in places), "")


def unknown_rows(verdict: Verdict, book: Playbook, full: bool) -> Iterator[Row]:
    """What could be so: left for -v where a cause is proven."""
    if not full and verdict.causes and all(cause.grade == "proven" for cause in verdict.causes):
        return
    shown = [item for item in verdict.unknown if item.ranks or full]
    for item in shown[: None if full else NUM_UNKNOWN]:
        title = safe(book.failures[item.failure].title) if item.failure in book.failures else item.failure
        who = named(item.ranks) if item.ranks else ""
        settle = ", ".join(safe(source.replace("_", " ")) for source in item.missing)
        yield Row(said_of(who, title) + (f"; {settle} would settle it" if settle else ""))
    if not full and (left := len(verdict.unknown) - min(len(shown), NUM_UNKNOWN)):
        yield Row(f"{'and ' if shown else ''}{count(left, 'failure')} that could not be looked for: -v")


def collect_rows(verdict: Verdict, book: Playbook, full: bool) -> Iterator[Row]:
    commands = list(dict.fromkeys(item.command for item in verdict.collect_next))
    for command in commands[: None if full else NUM_COLLECT]:
        for item in verdict.collect_next:
            if item.command == command:
                who = f"{named(item.ranks)}: " if item.ranks else ""
                yield Row(f"{who}{title_of(item.source, book)}")
        yield Row(f"   {safe(command)}", role="code")
    if not full and len(commands) > NUM_COLLECT:
        yield Row(f"and {len(commands) - NUM_COLLECT} more that would settle some: -v")


def read_rows(verdict: Verdict, full: bool) -> Iterator[Row]:
    """Each file with what was found in it."""
    for found in verdict.recognised_in[: None if full else NUM_FILES]:
        told = ", ".join(f"{safe(source.replace('_', ' '))} {num}" for source, num in found.sources.items())
        yield Row(told, short(found.file), "place")
    if not full and len(verdict.recognised_in) > NUM_FILES:
        yield Row(f"and {count(len(verdict.recognised_in) - NUM_FILES, 'file')} more: -v")


def unread_rows(verdict: Verdict, full: bool) -> Iterator[Row]:
    """Files that nobody knows; lines that look like errors, and nobody knows more of them."""
    most = None if full else NUM_FILES
    yield from (Row("nobody knows this file", short(where), "place") for where in verdict.unrecognised[:most])
    if not full and len(verdict.unrecognised) > NUM_FILES:
        yield Row(f"and {count(len(verdict.unrecognised) - NUM_FILES, 'file')} more: -v")
    lines = verdict.unrecognised_lines
    if lines.num:
        yield Row(f"{count(lines.num, 'line')} that may tell of an error; the first of each kind:")
    yield from (Row(f"  {safe(line.text)}", short(line.where), "place") for line in lines.examples[:most])


def move_rows(move: Move) -> Iterator[Row]:
    yield Row(f"move this lane to {safe(move.to)}: {safe(move.away_from)} does not keep it warm", role="head")
    for why in move.why:
        yield Row(safe(why))
    yield Row(f"there: {safe(move.gains)}")
    if move.first:
        yield Row(f"unless this makes its starts warm: {safe(move.first)}")

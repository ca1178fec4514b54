"""A verdict as sections of rows: the same words for every form. Titles and texts come from the verdict."""

import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

from diagnose.certificate import Link
from diagnose.model import Coverage, fold, named
from diagnose.playbook import Playbook
from diagnose.verdict import Cause, Stack, Verdict

SYMPTOM = {
    "hang": "HANG",
    "crash": "CRASH",
    "slow": "SLOW",
    "will_not_start": "WILL NOT START",
    "wrong_numbers": "WRONG NUMBERS",
    "output_missing": "OUTPUT MISSING",
    "none": "NOTHING WRONG FOUND",
    "unknown": "COULD NOT TELL",
}
RISK = {"restarts_job": "restarts the job", "drains_node": "drains the node", "needs_hands": "needs hands"}
NUM_EVIDENCE = 4  # lines of a cause,
NUM_LINKS = 3  # links of its certificate,
NUM_REMEDIES = 2  # remedies in full
NUM_UNKNOWN = 5  # failures that could be so,
NUM_COLLECT = 4  # commands that fetch what would settle them,
NUM_FILES = 6  # files, where no cause was found, and lines of them
NUM_LOOKALIKES = 2
NUM_STACKS = 3  # classes of ranks, each with
NUM_FRAMES = 4  # frames, that the first screen holds


class Row(NamedTuple):
    """`text` to the left, `right` (a place, a grade, a risk) to the right."""

    text: str
    right: str = ""
    role: str = "line"  # head | line | code | frame | matrix | place (its right side is a place to open)


class Section(NamedTuple):
    label: str
    rows: list[Row]


class Page(NamedTuple):
    """What was looked at, its size, what was found, what is seen of it; then sections."""

    name: str
    size: str
    symptom: str
    state: str
    sections: list[Section]
    what: str = "run"


def safe(text: str) -> str:
    r"""One printable line: evidence may hold terminal codes or text that turns its direction.

    >>> safe("a\x1b[31mred\n  b")
    'a\\x1b[31mred b'
    """
    line = re.sub(r"\s*[\r\n]+\s*", " ", text.strip()).replace("\t", " ")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


def clock(seconds: float) -> str:
    """
    >>> clock(134), clock(3725)
    ('02:14', '1:02:05')
    """
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"


def count(num: int, noun: str) -> str:
    return f"{num} {noun}{'' if num == 1 else 's'}"


def short(where: str) -> str:
    """
    >>> short("attempts/1/logs/rank-00003.log:88")
    'logs/rank-00003.log:88'
    """
    return safe(re.sub(r"^attempts/[^/]+/", "", where))


def page(verdict: Verdict, book: Playbook, full: bool = False) -> Page:
    """Lay a verdict out. `full` leaves nothing away."""
    run = verdict.run
    size = [count(run.num_ranks, "rank")] if run.num_ranks else []
    size += [count(len(run.nodes), "node")] if run.nodes else []
    size += [f"attempt {run.attempts[-1]}"] if len(run.attempts) > 1 else []
    state = [f"silent for {clock(run.silent_s)}"] if run.silent_s else []
    where = safe(run.phase)
    state += [where if where.startswith("before ") else f"in {where}"] if where not in {"", "unknown"} else []
    state += [f"exit code {run.exit_code}"] if run.exit_code else []
    is_dark = not verdict.causes and verdict.symptom not in {"none", "slow"}
    is_open = is_dark and verdict.symptom != "unknown"
    sections = [
        *(Section("CAUSE", list(cause_rows(cause, full))) for cause in verdict.causes),
        Section("CAUSE", [Row("could not tell: nothing that was seen settles it")] if is_open else []),
        Section("DO", list(remedy_rows(verdict.causes, full))),
        Section(
            "NOT", [Row(safe(c.text), short(c.where), "place") for x in verdict.causes for c in x.against]
        ),
        Section("UNLIKE", [Row(text) for text in unlike(verdict, full)]),
        Section("WAITS", [] if verdict.causes and not full else list(wait_rows(verdict))),
        Section("STACKS", list(stack_rows(verdict, full))),
        Section("STEPS", list(step_rows(verdict, full))),
        Section("NOT SEEN", list(gap_rows(verdict.coverage, full))),
        Section("AFTER", [Row(headline(cause)) for cause in verdict.aftermath]),
        Section("CONTEXT", list(context_rows(verdict, full))),
        Section("READ", list(read_rows(verdict, full)) if full or is_dark else []),
        Section("NOT READ", list(unread_rows(verdict, full)) if full or is_dark else []),
        Section("UNKNOWN", list(unknown_rows(verdict, book, full))),
        Section("COLLECT", list(collect_rows(verdict, book, full))),
    ]
    return Page(
        name=safe(run.name or verdict.bundle.rstrip("/").rpartition("/")[2] or verdict.bundle),
        size=", ".join(size),
        symptom=SYMPTOM.get(verdict.symptom, safe(verdict.symptom.upper())),
        state=", ".join(state),
        sections=[section for section in sections if section.rows],
    )


def headline(cause: Cause) -> str:
    """`rank 3: compiles alone`; `node h1: ...`; or the title alone where it is about the whole job."""
    who = f"node {', '.join(map(safe, cause.nodes))}" if cause.scope == "node" and cause.nodes else ""
    who = who or (named(cause.ranks) if cause.ranks and cause.scope != "job" else "")
    return said_of(who, safe(cause.title))


def said_of(who: str, title: str) -> str:
    """
    >>> said_of("rank 3", "Compiles alone"), said_of("node h1", "NCCL is old"), said_of("", "It hangs")
    ('rank 3: compiles alone', 'node h1: NCCL is old', 'It hangs')
    """
    if not who or not title:
        return title
    return f"{who}: {title[0].lower() if title[1:2].islower() else title[0]}{title[1:]}"


def gist(verdict: Verdict) -> list[str]:
    """A verdict in a few words."""
    return [SYMPTOM.get(verdict.symptom, verdict.symptom), *(headline(cause) for cause in verdict.causes)]


def cause_rows(cause: Cause, full: bool) -> Iterator[Row]:
    yield Row(headline(cause), cause.grade, "head")
    if full and cause.summary:
        yield Row(safe(cause.summary))
    cited = list({c.text: c for c in reversed(cause.evidence)}.values())[::-1]
    for citation in cited[: None if full else NUM_EVIDENCE]:
        yield Row(safe(citation.text), short(citation.where), "place")
    if not full and len(cited) > NUM_EVIDENCE:
        yield Row(f"and {count(len(cited) - NUM_EVIDENCE, 'more line')} of evidence: -v")
    yield from link_rows(
        [link for link in cause.certificate if link.text not in {c.text for c in cited}], full
    )


def link_rows(links: list[Link], full: bool) -> Iterator[Row]:
    """The certificate: the dump of a link is that of the rank it is about."""
    shown = links[: None if full else NUM_LINKS]
    for link in shown:
        where = next((w for front in link.fronts for w in front.where), "")
        yield Row(f"{'so: ' if link is shown[0] else ''}{safe(link.text)}", short(where), "place")
    if len(links) > len(shown):
        yield Row(f"and {count(len(links) - len(shown), 'more link')} of the certificate: -v")


def remedy_rows(causes: Iterable[Cause], full: bool) -> Iterator[Row]:
    remedies = list({r.id: r for cause in causes for r in cause.remedies}.values())
    for num, remedy in enumerate(remedies, start=1):
        yield Row(f"{num}  {safe(remedy.title)}", RISK.get(remedy.risk, ""), "head")
        if full or num <= NUM_REMEDIES:
            yield from (
                Row(f"   {safe(line)}", role="code") for line in remedy.do.splitlines() if line.strip()
            )
        if full and remedy.verify:
            yield Row(f"   verify: {safe(remedy.verify)}")


def unlike(verdict: Verdict, full: bool) -> list[str]:
    """What the causes are easily mistaken for, and how that would look."""
    said = list(dict.fromkeys(safe(text) for cause in verdict.causes for text in cause.lookalikes))
    return said if full else said[:NUM_LOOKALIKES]


def wait_rows(verdict: Verdict) -> Iterator[Row]:
    for wait in verdict.waits:
        number = "" if wait.seq is None else f" #{wait.seq}"
        group = f" ({wait.group})" if wait.group else ""
        never = "never started it" if wait.group else "elsewhere"
        if not wait.awaited and not wait.behind:
            yield Row(safe(f"{named(wait.waiting)} in {wait.op}{number}{group}"), short(wait.where), "place")
        for other, verb in ((wait.awaited, never), (wait.behind, "has not ended it")):
            if other:
                text = f"{named(wait.waiting)} in {wait.op}{number}{group}: {named(other)} {verb}"
                yield Row(safe(text), short(wait.where), "place")


def stack_rows(verdict: Verdict, full: bool) -> Iterator[Row]:
    """Who stands where, innermost frame first, the odd one first; what all share comes once, at the end."""
    stacks = verdict.stacks
    if not stacks or (verdict.symptom in {"none", "crash"} and not full):
        return
    left = [] if full else stacks[NUM_STACKS - 1 : -1]
    trunk = next((one.frames[-one.num_shared :] for one in stacks if one.num_shared), [])
    trunk = trunk if len(stacks) > 1 else []
    for one in stacks:
        if one in left:
            continue
        if left and one is stacks[-1]:
            who = brackets([rank for other in left for rank in other.ranks])
            yield Row(f"{who} at {count(len(left), 'other place')}: -v")
        yield Row(f"{brackets(one.ranks)}{moved(one)}", short(one.where), "place")
        own = one.frames[: len(one.frames) - len(trunk)] or one.frames or ["no Python frame"]
        yield from frame_rows(own, full, is_fork=bool(trunk))
    if trunk:
        who = brackets([rank for one in stacks for rank in one.ranks if one.num_shared])
        yield Row(f"{who} all under {safe(trunk[0])}")
        yield from frame_rows(trunk[1:] if full else [], full)


def frame_rows(frames: list[str], full: bool, is_fork: bool = False) -> Iterator[Row]:
    """The innermost frames; of a fork also the outermost one, where the ways of the ranks part."""
    shown = frames
    if not full and len(frames) > NUM_FRAMES:
        shown = [*frames[: NUM_FRAMES - is_fork], *frames[-1:][:is_fork]]
        shown[NUM_FRAMES - 1 - is_fork] += " ..."
    yield from (Row(f"  {safe(frame)}", role="frame") for frame in shown)


def brackets(ranks: list[int]) -> str:
    """
    >>> brackets([0, 1, 2, 4])
    '[0-2,4]'
    """
    return f"[{fold(ranks)}]"


def moved(one: Stack) -> str:
    """What the two samples of a class have shown."""
    where = f" in {safe(one.parted)}" if one.parted else ""
    return "" if one.moved is None else f" moving{where}" if one.moved else " not moving"


def step_rows(verdict: Verdict, full: bool) -> Iterator[Row]:
    """The questions in order; those in a row that were answered no are one line, but for `full`."""
    for is_no, group in groupby(verdict.steps, lambda step: step.answer == "no"):
        steps = list(group)
        if is_no and len(steps) > 2 and not full:
            yield Row(f"{'no':9}{len(steps)} questions: -v")
            continue
        for step in steps:
            yield Row(f"{step.answer:9}{safe(step.ask)}", short(step.where), "place")


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

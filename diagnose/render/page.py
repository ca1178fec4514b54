"""A verdict as sections of rows: the same words for every form. Titles and texts come from the verdict."""

from collections.abc import Iterable, Iterator
from itertools import groupby

from diagnose.certificate import Link
from diagnose.model import fold, named
from diagnose.playbook import Playbook
from diagnose.render.rest import (
    collect_rows,
    context_rows,
    gap_rows,
    move_rows,
    read_rows,
    unknown_rows,
    unread_rows,
)
from diagnose.render.rows import Page, Row, Section, clock, count, headline, safe, short
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
NUM_LOOKALIKES = 2
NUM_STACKS = 3  # classes of ranks, each with
NUM_FRAMES = 4  # frames, that the first screen holds


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
        Section("MOVE", list(move_rows(verdict.move)) if verdict.move else []),
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
        yield Row(f"{brackets(one.ranks)}{process(one)}{moved(one)}", short(one.where), "place")
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


def process(one: Stack) -> str:
    """Whom to look at next: the pid of an odd one."""
    return f" pid {one.pids[0]}" if one.odd and len(one.pids) == 1 else ""


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

"""What `show` says before the verdict: lane and stage, artefacts, receipt, and the cold start as a bar."""

from collections.abc import Iterator

from diagnose.model import named
from diagnose.playbook import Playbook
from diagnose.render.page import page
from diagnose.render.rows import Page, Row, Section, count, safe
from diagnose.verdict import Part, Sorting, Verdict

BAR = 22  # columns for the longest phase
NUM_CHANGED = 6
SORTED = ("LANE", "STAGE")  # come first of all, then what is urgent
URGENT = ("CAUSE", "DO")


def whole(verdict: Verdict, book: Playbook, full: bool = False) -> Page:
    """The verdict laid out, after what the run was sorted into, where it was."""
    laid = page(verdict, book, full)
    if verdict.sorting is None:
        return laid
    told = list(sections(verdict.sorting, full))
    first = [section for section in told if section.label in SORTED]
    urgent = [section for section in laid.sections if section.label in URGENT]
    rest = [section for section in (*told, *laid.sections) if section not in (*first, *urgent)]
    return laid._replace(sections=[*first, *urgent, *rest])


def sections(told: Sorting, full: bool) -> Iterator[Section]:
    title = f": {safe(told.lane_title[:1].lower() + told.lane_title[1:])}" if told.lane_title else ""
    lane = f"{safe(told.lane)}{title}" if told.lane else "not told (diagnose run --lane NAME)"
    yield Section("LANE", [Row(lane)])
    yield Section("STAGE", list(stage_rows(told)))
    yield Section("LAYERS", list(layer_rows(told, full)))
    yield Section("RECEIPT", list(receipt_rows(told, full)))
    if told.start:
        yield Section("START", list(start_rows(told)))


def stage_rows(told: Sorting) -> Iterator[Row]:
    if not told.stage:
        running = told.is_receipt is None
        yield Row("it runs" if running else "none breaks the contract")
    else:
        yield Row(safe(told.stage_title), role="head")
        yield Row(f"cut here: {safe(told.cut)}" if told.cut else safe(told.looks))
        yield Row(f"open first: {safe(told.open)}")
        yield Row(f"usual fix: {safe(told.fix)}")
    if told.changed:
        shown = ", ".join(map(safe, told.changed[:NUM_CHANGED]))
        more = f" and {len(told.changed) - NUM_CHANGED} more" if len(told.changed) > NUM_CHANGED else ""
        yield Row(f"not as in the last good run, {safe(told.good_run)}: {shown}{more} (diagnose compare)")


def layer_rows(told: Sorting, full: bool) -> Iterator[Row]:
    """Those that hold in one line, each of the others in its own."""
    held = [safe(layer.layer) for layer in told.layers if layer.state == "holds"]
    for layer in told.layers:
        if layer.state != "holds":
            verb = "not yet" if told.is_receipt is None else "breaks the contract"
            yield Row(f"{safe(layer.layer)} {verb}: {safe(layer.why)}")
    if held:
        yield Row(f"{', '.join(held)} hold{'s' if len(held) == 1 else ''}")


def receipt_rows(told: Sorting, full: bool) -> Iterator[Row]:
    if told.is_receipt is None:
        yield Row("not yet: it runs")
    elif told.is_receipt:
        yield Row("a receipt: whole, and long enough for its lane")
    else:
        yield Row(f"not a receipt: {'; '.join(map(safe, told.missing))}", role="head")
    if told.contaminated:
        steps = ", ".join(map(str, told.contaminated))
        yield Row(f"step {steps} is contaminated: it starts cold, and no figure counts it")
    if told.thin and (full or told.is_receipt):
        yield Row(f"not known: {', '.join(map(safe, told.thin))}")


def start_rows(told: Sorting) -> Iterator[Row]:
    """One bar a phase, of the slowest rank; what the last good run took stands to the right."""
    longest = max(max(part.seconds, part.good_s or 0.0) for part in told.start) or 1.0
    for part in told.start:
        good = f"{length(part.good_s)} when good" if part.good_s is not None else ""
        yield Row(bar(part, longest), good)
    seconds = sum(part.seconds for part in told.start)
    befores = [part.good_s for part in told.start if part.good_s is not None]
    good = f"{length(sum(befores))} when good" if len(befores) == len(told.start) else ""
    yield Row(f"{'in all':<24}{length(seconds):>8}", good)
    if told.good_run:
        yield Row(f"the last good run is {safe(told.good_run)}")
    for burst in told.again:
        kinds = " and ".join(safe(kind.replace("_", " ")) for kind in burst.kinds)
        after = count(burst.step or 0, "step")
        yield Row(f"{named(burst.ranks)}: {kinds} again after {after}, {length(burst.seconds)}: no stall")


def bar(part: Part, longest: float) -> str:
    """
    >>> bar(Part("import", "import of torch", 5.5), 11.0)
    'import of torch            5.5 s  ###########'
    """
    mark = "#" * max(1 if part.seconds > 0 else 0, round(BAR * part.seconds / longest))
    return f"{safe(part.title):<24}{length(part.seconds):>8}  {mark}".rstrip()


def length(seconds: float) -> str:
    """
    >>> length(0.314), length(75.2), length(4000)
    ('0.3 s', '75.2 s', '4000 s')
    """
    return f"{seconds:.1f} s" if seconds < 1000 else f"{seconds:.0f} s"

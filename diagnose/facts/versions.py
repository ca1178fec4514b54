"""Parts of the software that do not fit each other: driver, CUDA, NCCL, compiled extensions, packages."""

from collections.abc import Iterable

from diagnose.lines import versions
from diagnose.losses import ended_well
from diagnose.model import Event, Evidence, Fact, FactKind
from diagnose.raisings import kind_of
from diagnose.tellings import since, told

NEEDS = ("rank_log", "launcher_log", "rank_hook", "elastic_error")
KINDS = {
    "version.mismatched": FactKind(
        "driver, CUDA, NCCL or a library do not fit; data: what (driver, architecture, symbol, library,"
        " collective, package), text",
        NEEDS,
    )
}


def derive(evidence: Evidence) -> Iterable[Fact]:
    if ended_well(evidence):
        return
    found = list(told(evidence, versions.EVENTS, versions.LINES))
    for what in dict.fromkeys(str(data.get("what")) for _, _, data in found):
        mine = [each for each in found if each[2].get("what") == what]
        yield Fact(
            kind="version.mismatched",
            text=f"parts do not fit ({what}): {mine[0][2].get('text')}",
            ranks=sorted({event.rank for event, _, _ in mine if event.rank is not None}),
            data=mine[0][2],
            since=since(mine),
            events=[event for event, _, _ in mine][:4],
        )
    yield from differing(evidence)


def differing(evidence: Evidence) -> Iterable[Fact]:
    """Processes that bring different NCCLs to one job, where NCCL failed."""
    loaded: dict[str, Event] = {}
    for event in evidence.of("nccl.version_told"):
        loaded.setdefault(str(event.data.get("version")).partition("+")[0], event)
    if len(loaded) > 1 and nccl_failed(evidence):
        yield Fact(
            kind="version.mismatched",
            text=f"parts do not fit (collective): processes have loaded NCCL {' and '.join(sorted(loaded))}",
            data={"what": "collective", "text": ""},
            events=list(loaded.values())[:4],
            inferred=True,
        )


def nccl_failed(evidence: Evidence) -> bool:
    """Whether anybody reports that NCCL failed, or that a transfer of its own set-up did."""
    raised = any(kind_of(event) == "nccl.failed" for event in evidence.of("exception.raised"))
    return raised or any(evidence.of("nccl.sizes_differed", "nccl.connection_lost"))

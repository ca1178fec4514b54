"""Parts of the software that do not fit each other: driver, CUDA, NCCL, compiled extensions, packages."""

from collections.abc import Iterable

from diagnose.lines import versions
from diagnose.losses import ended_well
from diagnose.model import Evidence, Fact, FactKind
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
    found = [each for each in told(evidence, versions.EVENTS, versions.LINES) if each[1] == "version.refused"]
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

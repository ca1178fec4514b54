"""What `diagnose` says of an incident, held against the truth."""

import io
import logging
import math
import re
import tempfile
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from diagnose.bundle import members
from diagnose.pipeline import diagnose_bundle
from diagnose.verdict import Verdict
from tests.incidents.incident import HEALTHY, SCANS, Incident, generate
from tests.incidents.truth import Ranks

OUTCOMES = ("exact", "subset", "wrong blame", "abstained", "false alarm", "crashed")


def verdict(incident: Incident) -> Verdict:
    with tempfile.TemporaryDirectory(prefix="di-") as name:
        incident.write(Path(name))
        return diagnose_bundle(name, members(name))


def blamed(told: Verdict) -> Ranks:
    return frozenset(rank for cause in told.causes for rank in cause.ranks)


def outcome(incident: Incident, ranks: Ranks) -> str:
    """Whether the blamed ranks are the culprits."""
    if incident.kind in HEALTHY:
        return "false alarm" if ranks else "exact"
    if incident.accepts(ranks):
        return "exact"
    if not ranks:
        return "abstained"
    return "subset" if ranks <= incident.culprits() else "wrong blame"


def judge(incident: Incident) -> tuple[str, list[str]]:
    """(outcome, causes as text)."""
    try:
        told = verdict(incident)
    except Exception as error:  # a crash is an outcome, and is counted
        return "crashed", [repr(error)]
    causes = [f"{cause.failure} on {cause.ranks}" for cause in told.causes]
    if incident.kind in HEALTHY and causes:
        return "false alarm", causes
    return outcome(incident, blamed(told)), causes


def right_ids(incident: Incident, causes: list[str]) -> bool:
    """Whether every cause has a name that fits one of the faults."""
    return {cause.partition(" ")[0] for cause in causes} <= incident.ids()


def torchfrtrace(seed: int, kind: str) -> str:
    """The outcome of the standard analyser on the same dumps, as pickles: it reads no JSON."""
    incident = generate(seed, kind, form="pickle")
    with tempfile.TemporaryDirectory(prefix="di-") as name:
        for where, content in incident.files.items():
            if not where.startswith((SCANS[0], "events/")):
                rank = int(re.findall(r"\d+", where)[-1])
                (Path(name) / f"nccl_trace_rank_{rank}").write_bytes(content)
        said = standard_analysis(name, "nccl_trace_rank_")
    return "crashed" if said is None else outcome(incident, named_by(said))


def standard_analysis(folder: str, prefix: str) -> str | None:
    """What `torchfrtrace` prints of a folder, run in this process; none where it raises."""
    from torch.distributed.flight_recorder import fr_trace

    said = io.StringIO()
    for handler in logging.getLogger("Flight Recorder").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(said)
    try:
        with redirect_stdout(said), redirect_stderr(said):
            fr_trace.main([folder, "-p", prefix, "--allow-incomplete-ranks"])
    except SystemExit as error:
        return None if error.code else said.getvalue()
    except Exception:  # whatever it runs into: it ends without an answer
        return None
    return said.getvalue()


def named_by(text: str) -> Ranks:
    """The ranks that the standard analyser's words accuse."""
    found = {int(n) for n in re.findall(r"Culprit rank (\d+);", text)}
    for part in re.findall(r"missing ranks: \{([\d, ]+)\}", text):
        found |= {int(n) for n in part.split(",")}
    return frozenset(found)


def interval(hits: int, num: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    if not num:
        return 0.0, 1.0
    z, share = 1.96, hits / num
    middle = (share + z * z / (2 * num)) / (1 + z * z / num)
    half = z * math.sqrt(share * (1 - share) / num + z * z / (4 * num * num)) / (1 + z * z / num)
    return max(0.0, middle - half), min(1.0, middle + half)


def share(counts: Counter[str]) -> str:
    """`98.0 % (96.2 to 99.1)`: how many are exact, with the interval."""
    num = sum(counts.values())
    low, high = interval(counts["exact"], num)
    return f"{100 * counts['exact'] / max(1, num):.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def row(kind: str, counts: Counter[str], theirs: Counter[str] | None = None) -> str:
    """One row: ours, what went wrong, and how often the standard analyser was right on the same jobs."""
    cells = [kind, str(sum(counts.values())), share(counts), *(str(counts[name]) for name in OUTCOMES[1:])]
    if theirs is not None:
        cells += [share(theirs), str(theirs["crashed"])]
    return f"| {' | '.join(cells)} |"

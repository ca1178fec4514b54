"""What is said of calls that may not agree: hand-made evidence in, (kind, ranks, aspect, majority) out."""

from diagnose.facts import mismatches
from diagnose.model import Evidence


def evidence_of(events, num_ranks=3):
    ranks = sorted({e.rank for e in events if e.rank is not None})
    read = frozenset({"flight_recorder"})
    return Evidence(events=list(events), read=read, ranks=ranks, num_ranks=num_ranks)


def told(*events, num_ranks=3):
    facts = mismatches.derive(evidence_of(events, num_ranks))
    return [(f.kind, f.ranks, f.data["aspect"], f.data["majority"]) for f in facts]

"""A failure in a cluster that its call does not show: the platform returns the first node's word alone."""

from collections.abc import Iterable

from diagnose.containers import OF_A_RUN
from diagnose.endings import End, ended
from diagnose.model import Event, Evidence, Fact, FactKind
from diagnose.raisings import kinds, parted

# Only containers of a platform's cluster have such an outcome: who tells of a run without them rules it out.
KINDS = {
    "outcome.narrow": FactKind(
        "a node of a cluster failed, and the platform returned the word of another; data: outcome "
        "(ok, error), exit_code",
        OF_A_RUN,
    ),
}
ASKED = {2, 15}  # signals by which others end a rank
OVER = {"ok", "error"}


def derive(evidence: Evidence) -> Iterable[Fact]:
    nodes = {e.node: e.data.get("node_index") for e in evidence.of("container.started") if e.node}
    first = next((node for node, index in nodes.items() if index == 0), None)
    states = [e for e in evidence.of("run.state_changed") if e.data.get("state") in OVER][-1:]
    ends = {str(e.node): e for e in evidence.of("container.ended")}
    if len(nodes) < 2 or first not in ends or not states or any(evidence.of("container.interrupted")):
        return
    codes = {node: event.data.get("exit_code") for node, event in ends.items()}
    failed = sorted(node for node, code in codes.items() if code and node != first)
    if not failed:
        return
    outcome = "error" if codes[first] else "ok"
    if outcome == "ok":
        said = ", ".join(f"{node} ended with {codes[node]}" for node in failed)
        text = f"{first} ended well, and the platform returned that alone: {said}"
    else:
        own = {evidence.nodes.get(rank, "") for rank in by_themselves(evidence)}
        failed = sorted(own & set(failed))
        if not failed or first in own:
            return
        text = (
            f"the platform returned the word of {first} alone, whose ranks only lost the others: "
            f"{', '.join(failed)} failed by itself"
        )
    yield Fact(
        kind="outcome.narrow",
        text=text,
        nodes=failed,
        data={"outcome": outcome, "exit_code": codes[failed[0]]},
        since=ends[failed[0]].time,
        events=[ends[failed[0]], ends[first], *states],
    )


def by_themselves(evidence: Evidence) -> set[int]:
    """The ranks that failed of their own, and not because others had."""
    uncaught, ends = parted(evidence)[0], ended(evidence)
    return {rank for rank in {*uncaught, *ends} if is_own(uncaught.get(rank, []), ends.get(rank))}


def is_own(chains: list[list[Event]], end: End | None) -> bool:
    if chains:
        return any(kind == "exception.raised" for chain in chains for kind, _ in kinds(chain))
    return bool(end and not end.by_us and (end.code or (end.sig and end.sig not in ASKED)))

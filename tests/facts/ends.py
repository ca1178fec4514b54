"""Hand-made evidence that several tests share."""

from diagnose.facts import deaths
from diagnose.model import Event, Evidence
from diagnose.pipeline import judge
from diagnose.playbook import load

BOOK = load()
CLOSED = "[gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:4711. This is typically ..."
TIMED_OUT = (
    "[gloo/transport/tcp/unbound_buffer.cc:78] Timed out waiting 5000ms for recv operation to complete"
)


def event(kind, rank=None, time=None, source="agent", **data):
    return Event(
        kind=kind, source=source, where="attempts/1/events/x.jsonl:1", rank=rank, time=time, data=data
    )


def claims(num_ranks=2):
    return [
        event("rank.claimed", r, 1.0, "rank_hook", pid=100 + r, local_rank=r, world_size=num_ranks)
        for r in range(num_ranks)
    ]


def raised(rank, message, time=None, type="RuntimeError"):
    return event(
        "exception.raised", rank, time, "rank_hook", type=type, message=message, frames=["train.py:7 in step"]
    )


def verdict(*events):
    return judge("run", [*claims(), *events], BOOK)


def causes(*events):
    return [(c.failure, c.ranks) for c in verdict(*events).causes]


def facts(*events, module=deaths):
    events = [*claims(), *events]
    evidence = Evidence(events=events, read=frozenset(e.source for e in events), ranks=[0, 1], num_ranks=2)
    return {(f.kind, *f.ranks): f.data for f in module.derive(evidence)}

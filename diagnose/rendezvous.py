"""What is said of a store or a rendezvous that did not come together, and what came of it. Pure.

The same words stand in a log's lines and in exceptions' messages; other text may stand around them.
"""

import math
from collections.abc import Iterator

from diagnose import messages
from diagnose.lines import nccl_bootstrap, rendezvous
from diagnose.model import Event, Evidence, Record

EVENTS = {*rendezvous.EVENTS, *nccl_bootstrap.EVENTS}
LINES = rendezvous.LINES + nccl_bootstrap.LINES
INIT = "init_process_group"  # the phase that the hook reports


def said(text: str) -> tuple[str, dict[str, object]] | None:
    """The first phrase in a text: the kind of event it makes, and its data.

    >>> said("DistStoreError: Timed out after 13 seconds waiting for clients. 2/3 clients joined.")
    ('store.clients_missing', {'wait_s': 13, 'joined': 2, 'expected': 3})
    >>> said("loss 0.4")
    """
    return messages.said(text, LINES)


def sayings(evidence: Evidence) -> Iterator[tuple[Event, str, dict[str, object]]]:
    """What ranks and launchers said of the rendezvous: exceptions first, then their logs' lines."""
    for event in evidence.of("exception.raised"):
        if told := said(f"{event.data.get('type')}: {event.data.get('message')}"):
            yield event, *told
    yield from ((event, event.kind, event.data) for event in evidence.of(*EVENTS))


def came_together(evidence: Evidence) -> bool:
    """Whether all ranks came: rank 0, which serves the rendezvous, got through it; with gloo anybody did."""
    backends = {
        (e.rank, e.data.get("num")): str(e.data.get("backend"))
        for e in evidence.of("phase.started")
        if e.data.get("phase") == INIT
    }
    return any(
        e.rank == 0 or "gloo" in backends.get((e.rank, e.data.get("num")), "")
        for e in evidence.of("phase.ended")
        if e.data.get("phase") == INIT and e.data.get("ok")
    )


class Init(Record, frozen=True):
    """A rank's last `init_process_group`: what it was told, and whether it came through."""

    rank: int
    size: int
    address: str  # empty: not known
    ok: bool
    event: Event
    left: float  # when its process had gone; infinity while it lives

    @property
    def place(self) -> str:
        """The address without its host: ranks may know one host by several names."""
        scheme, _, rest = self.address.partition("://")
        return f"{scheme}:{rest.rpartition(':')[2]}" if rest else ""


def inits(evidence: Evidence) -> list[Init]:
    """Each rank's last attempt to join; without ranks that had gone before the last one came."""
    begun = {e.rank: e for e in evidence.of("phase.started") if e.data.get("phase") == INIT}
    done = {
        (e.rank, e.data.get("num"))
        for e in evidence.of("phase.ended")
        if e.data.get("phase") == INIT and e.data.get("ok")
    }
    gone = {e.rank: e.time for e in evidence.of("rank.died") if e.time is not None}
    found = []
    for rank, event in begun.items():
        size = event.data.get("world_size")
        if rank is None or not isinstance(size, int) or event.time is None:
            continue
        left = gone.get(rank, math.inf)
        ok = (rank, event.data.get("num")) in done
        address = str(event.data.get("address") or "")
        found.append(Init(rank, size, address, ok, event, left if left > event.time else math.inf))
    last = max((init.event.time or 0.0 for init in found), default=0.0)
    return sorted((init for init in found if init.left > last), key=lambda init: init.rank)

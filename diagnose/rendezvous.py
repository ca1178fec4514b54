"""What torch's store and rendezvous say when ranks cannot come together, as one table; what came of it. Pure.

The same words stand in a log's lines and in exceptions' messages; other text may stand around them.
"""

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

from diagnose.model import Event, Evidence, Record

EVENTS = {
    "store.clients_missing": "not as many workers on a store as expected; data: joined, expected, wait_s",
    "store.key_missing": "a key that another rank should have set did not come; data: wait_ms, keys",
    "store.unreachable": "a client could not reach the store's server; data: host, port",
    "store.address_taken": "the server's port is in use by somebody else; data: port, host",
    "gloo.address_missing": "the interface that gloo was told has no address; data: interface",
    "nccl.interface_missing": "NCCL found no network interface that it may use; data: interface",
    "nccl.connect_failed": "NCCL could not connect to a peer's address; data: peer, port, reason",
    "gloo.connect_failed": "a peer's advertised address could not be connected to; data: reason, peer",
}
NUMBERS = {"joined", "expected", "wait_s", "wait_ms", "port"}
INIT = "init_process_group"  # the phase that the hook reports
HOST = r"(?P<host>[\w.:%-]{1,253})"
PORT = r"(?P<port>\d{1,5})"


class Phrase(NamedTuple):
    """`word` must be in a text (fast), `regex` is searched in it; its groups are the data."""

    kind: str
    word: str
    regex: re.Pattern[str]

    def data(self, found: re.Match[str]) -> dict[str, object]:
        named = {name: text for name, text in found.groupdict().items() if text is not None}
        return {name: int(text) if name in NUMBERS else text for name, text in named.items()}


PHRASES = tuple(
    Phrase(kind, word, re.compile(text))
    for kind, word, text in (
        (
            "store.clients_missing",
            "clients joined",
            r"Timed out after (?P<wait_s>\d{1,9}) seconds waiting for clients\. "
            r"(?P<joined>\d{1,7})/(?P<expected>\d{1,7}) clients joined",
        ),
        (
            "store.clients_missing",
            "store based barrier",
            r"Timed out (?:initializing process group )?in store based barrier.{0,300}"
            r"world_size=(?P<expected>\d{1,7}), (?:worker_count|num_workers_joined)=(?P<joined>\d{1,7})",
        ),
        ("store.clients_missing", "RendezvousTimeoutError", r"\bRendezvousTimeoutError\b"),
        (
            "store.key_missing",
            "wait timeout after",
            r"wait timeout after (?P<wait_ms>\d{1,12})ms, keys: (?P<keys>.{0,200})",
        ),
        (
            "store.key_missing",
            "ncclUniqueId from",
            r"retr(?:ei|ie)ving ncclUniqueId from \[0\] via .{0,60}store by key '(?P<keys>.{0,60}?)'"
            r".{0,80}got error: .{0,200}[Tt]imeout",
        ),
        ("store.key_missing", "Socket Timeout", r"(?:^|Error: )Socket Timeout\s*$"),
        (
            "store.unreachable",
            "trying to connect to",
            r"client socket has timed out after (?P<wait>\d{1,12}\s?m?s) while trying to connect to "
            rf"\({HOST}, {PORT}\)",
        ),
        (
            "store.unreachable",
            "client socket has failed to connect to any",
            rf"client socket has failed to connect to any network address of \({HOST}, {PORT}\)",
        ),
        (
            "store.unreachable",
            "failed to connect/validate",
            rf"failed to connect/validate to host {HOST}:{PORT} - timed out",
        ),
        (
            "store.unreachable",
            "cannot be retrieved (gai error",
            rf"IPv4 network addresses of \({HOST}, {PORT}\) cannot be retrieved",
        ),
        ("store.unreachable", "connect() timed out", r"connect\(\) timed out\. Original timeout was"),
        ("store.unreachable", "C10d store has failed", r"connection to the C10d store has failed"),
        (
            "store.address_taken",
            "failed to listen on any local",
            r"failed to listen on any local network address"
            r"(?=.{0,400}(?:EADDRINUSE|[Aa]ddress already in use))"
            rf"(?:.{{0,200}}?(?:port: |\]:){PORT})?",
        ),
        (
            "store.address_taken",
            "Address already in use",
            r"(?:ZMQ|Runtime|DistNetwork)Error: Address already in use"
            r"(?: \(addr='tcp://(?P<host>[\w.:\[\]*-]{1,100}):(?P<port>\d{1,5})'\)|$)",
        ),
        (
            "nccl.connect_failed",
            "onnect to ",
            r"NCCL WARN .{0,80}\b[Cc]onnect to (?P<peer>[\w.:%-]{1,80})<(?P<port>\d{1,5})> "
            r"(?:failed : |returned \d{1,5}\()(?P<reason>[A-Z][\w ]{1,60})",
        ),
        (
            "nccl.connect_failed",
            "same subnet as remote",
            r"NCCL WARN .{0,80}(?P<reason>No interface found in the same subnet) as remote address "
            r"(?P<peer>[\w.:%-]{0,80})",
        ),
        (
            "gloo.address_missing",
            "Unable to find address for",
            r"Unable to find address for:? (?P<interface>[^\s'\"]{1,64})",
        ),
        (
            "gloo.address_missing",
            "Unable to resolve hostname",
            r"Unable to resolve hostname to a \(local\) address",
        ),
        (
            "nccl.interface_missing",
            "interface found",
            r"NCCL WARN .{0,40}: (?P<interface>no (?:socket )?interface found)",
        ),
        (
            "gloo.connect_failed",
            "connectFullMesh failed",
            r"connectFullMesh failed with (?:\[.{1,200}?\] )?"
            r"(?P<reason>.{1,120}?)(?:, remote=\[?(?P<peer>[\w.:%\]]{1,80})|$)",
        ),
    )
)  # fmt: skip


def said(text: str) -> tuple[str, dict[str, object]] | None:
    """The first phrase in a text: the kind of event it makes, and its data.

    >>> said("DistStoreError: Timed out after 13 seconds waiting for clients. 2/3 clients joined.")
    ('store.clients_missing', {'wait_s': 13, 'joined': 2, 'expected': 3})
    >>> said("loss 0.4")
    """
    for phrase in PHRASES:
        if phrase.word in text and (found := phrase.regex.search(text)):
            return phrase.kind, phrase.data(found)
    return None


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

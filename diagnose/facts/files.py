"""Files that ranks could not write, could not read, or found damaged, by the exceptions they raised.

A library often leaves out the system's reason of a write that failed: a full disk, a quota, a server's error.
Also remote data that does not answer a rank, which failed of that, or for which the others wait.
"""

import re
from collections.abc import Iterable

from diagnose.losses import ended_well, is_timeout
from diagnose.model import Event, Evidence, Fact, FactKind, named
from diagnose.raisings import kinds, nameless, parted

NEEDS = ("rank_hook", "elastic_error", "rank_log", "launcher_log")
KINDS = {
    "file.write_failed": FactKind("a rank failed: a file could not be written; data: text, frame", NEEDS),
    "file.read_failed": FactKind("a rank failed: its file system gave an error; data: text, frame", NEEDS),
    "source.unanswered": FactKind(
        "remote data does not answer a rank: it failed of that, or collectives of the others time out; "
        "data: text",
        NEEDS,
    ),
    "file.damaged": FactKind("a rank failed: a saved file is damaged; data: text, frame", NEEDS),
}
DAMAGED = re.compile(
    r"PytorchStreamReader failed|failed finding central directory|archive is corrupted|not a ZIP archive"
    r"|unexpected EOF, expected \d{1,12} more bytes|file might be corrupted|Error while deserializing header"
    r"|(?:MetadataIncompleteBuffer|InvalidHeaderDeserialization|HeaderTooLarge|HeaderTooSmall)\b"
    r"|zero checkpoints paths are missing|storage has wrong byte size|Consistency check failed: file should"
    r"|pickle data was truncated|invalid load key|Unable to load weights from pytorch checkpoint"
    r"|without having git-lfs"
)
WRITE = re.compile(
    r"PytorchStreamWriter failed|inline_container\.cc.{0,20}\. unexpected pos"
    r"|basic_ios::clear|iostream error|write\(\): fd \d{1,7} failed|(?s:File .{1,300} cannot be opened)"
    r"|Error while serializing: .{0,20}I/?[oO]|Parent directory .{1,300} does not exist"
    r"|[Ff]ailed to write|[Ww]rite failed|[Ss]hort write|\[Errno 30\]|Read-only file system"
)
# Errors that only file systems give; those that sockets have, too, name a path.
BROKEN = re.compile(
    r"Input/output error|Stale file handle|Remote I/O error|No locks available"
    r"|\[Errno (?:5|37|116|121)\]|\(os error (?:5|37|116|121)\)|\berrno = (?:5|37|38|95|116|121)\b"
    r"|(?:\[Errno (?:107|108|110|112)\]|Transport endpoint|Host is down).{0,100}['\"]/"
)
# What a client of remote data raises that waited in vain, and whose client it is.
UNANSWERED = re.compile(
    r"\b(?:FSTimeoutError|EndpointConnectionError|ConnectTimeout(?:Error)?|ReadTimeout(?:Error)?)\b"
    r"|\bIncompleteRead(?:Error)?\b|\bChunkedEncodingError\b|\bServerDisconnectedError\b"
    r"|\bexit \d{1,3} \(read\)"
)
CLIENTS = re.compile(
    r"-packages/(?:datasets|huggingface_hub|fsspec|s3fs|gcsfs|webdataset|streaming|litdata|botocore)/"
    r"|torch/utils/data/"
)
SAVES = re.compile(r"torch/serialization\.py.* in _?save|torch/distributed/checkpoint/|\bin _?save\w*$")
# A checkpoint's folder that another rank, on another node, has already moved or not yet emptied.
CROSSED = re.compile(r"No such file or directory: .{1,300} -> |Directory not empty|\[Errno 39\]")
CONSOLE = re.compile(r"/(?:tqdm|logging|rich)/|/_?(?:colorama|codecs)\b|\bin (?:print|flush)$")
WORDS = {
    "file.write_failed": "could not write a file",
    "file.read_failed": "was refused a file by its file system",
    "file.damaged": "found a file damaged",
    "source.unanswered": "got no answer from remote data",
}


def derive(evidence: Evidence) -> Iterable[Fact]:
    if ended_well(evidence):
        return
    ranks = parted(evidence)[0].items()
    told: list[tuple[int | None, list[Event]]] = [(rank, chain) for rank, chains in ranks for chain in chains]
    told += [(None, chain) for chain in nameless(evidence)]
    seen: set[tuple[str, int | None]] = set()
    for rank, chain in told:
        own = [event for kind, event in kinds(chain) if kind == "exception.raised"]
        found = next(((kind, event) for event in own if (kind := kind_of(event))), None)
        if found and (found[0], rank) not in seen:
            seen.add((found[0], rank))
            yield statement(found[0], rank, found[1])
    yield from unanswered(evidence)


def unanswered(evidence: Evidence) -> Iterable[Fact]:
    """Who asked again, and is not among those whose wait for the others ran out."""
    late = [event for event in evidence.events if is_timeout(event)]
    waited = {number for e in late for number in (e.rank, e.data.get("group_rank")) if number is not None}
    told: dict[int | None, list[Event]] = {}
    for event in evidence.of("source.retried"):
        if event.rank not in waited:
            told.setdefault(event.rank, []).append(event)
    for rank, events in told.items() if late else ():
        who, said = "a rank" if rank is None else named([rank]), events[-1].data.get("text")
        yield Fact(
            kind="source.unanswered",
            text=f"{who} got no answer from remote data, and others' waits ran out: {said}",
            ranks=[] if rank is None else [rank],
            data={"text": said},
            since=events[0].time,
            events=[events[-1], late[0]],
            inferred=True,
        )


def kind_of(event: Event) -> str:
    """The fact that an exception amounts to; empty for one that tells of no file."""
    text, frames = f"{event.data.get('type', '')}: {event.data.get('message', '')}", inner(event)
    if DAMAGED.search(text):
        return "file.damaged"
    if UNANSWERED.search(text) and (
        "DataLoader worker" in text or any(CLIENTS.search(frame) for frame in frames)
    ):
        return "source.unanswered"
    if WRITE.search(text):
        return "file.write_failed"
    if CROSSED.search(text) and ("checkpoint" in text.lower() or any(SAVES.search(f) for f in frames)):
        return "file.write_failed"
    if not BROKEN.search(text) or any(CONSOLE.search(frame) for frame in frames[-2:]):
        return ""
    return "file.write_failed" if any(SAVES.search(frame) for frame in frames) else "file.read_failed"


def inner(event: Event) -> list[str]:
    """The innermost frames, innermost last."""
    told = event.data.get("frames")
    return [str(frame) for frame in told[-8:]] if isinstance(told, list) else []


def statement(kind: str, rank: int | None, event: Event) -> Fact:
    text = str(event.data.get("message", "")).split("\n")[0][:200]
    who = "a rank" if rank is None else named([rank])
    return Fact(
        kind=kind,
        text=f"{who} {WORDS[kind]}: {text}",
        ranks=[] if rank is None else [rank],
        data={"text": text, "frame": next(iter(inner(event)[-1:]), "")},
        since=event.time,
        events=[event],
        inferred=not event.data.get("frames"),
    )

"""Exceptions as the evidence has them: what kind each is, and which of them ended their rank. Pure.

A log shows every traceback that was printed; the rank hook and torchelastic's error files tell of those that
nobody caught. A traceback that they do not know was caught, printed and survived; so was one of a rank whose
main thread is still inside its program.
"""

import re
from collections.abc import Iterable

from diagnose import nccl
from diagnose.endings import ended
from diagnose.model import Event, Evidence
from diagnose.rendezvous import said

TIMED_OUT = re.compile(
    r"[Tt]imed out (?:waiting|receiving the shared seed)|[Tt]imeout at NCCL|collective operation timeout|"
    r"Timed out initializing|"
    r"failed to pass monitoredBarrier|timed out in blocking wait|RPC call to \w{1,60} timed out"
    r"|(?:Notify register|Getting socket|internal task) times out"  # Ascend's
    r"|DeepEP error: .{0,40}timeout|could finish the model loading, but there are other ranks"
)
LOST = re.compile(
    r"Connection closed by peer|Connection reset by peer|Broken pipe|Socket closed|recvValue failed|"
    r"NCCL communicator was aborted|remote process exited|connection was likely closed|"
    r"failed to recv, got 0 bytes|successfully reached monitoredBarrier|Horovod has been shut down",
    re.IGNORECASE,
)
DIFFERS = re.compile(
    r"Detected mismatch between collectives|DDP expects same model across all ranks"
    r"|Mismatched [\w/ ]{3,60}: One rank "  # Horovod's
    r"|disagreement between rank0 and rank"  # DeepSpeed's
)
LOSSES = {"BrokenPipeError", "ConnectionResetError", "ConnectionAbortedError"}
# What tells of an end elsewhere, or of a library that gave up: its reason stands in other lines.
SECONDHAND = {
    "CalledProcessError", "RayActorError", "ActorDiedError", "ActorUnavailableError", "WorkerCrashedError",
    "LocalRayletDiedError", "NodeDiedError", "EngineDeadError", "AsyncEngineDeadError", "RemoteError",
    "RendezvousClosedError", "DeadlockDetectedException", "FunctionTimeoutError", "ChildFailedError",
    "CheckpointException",
}  # fmt: skip
GAVE_UP = re.compile(
    r"See (?:root cause|stack trace|the stack trace) above"
    r"|(?:Engine core|WorkerProc|Engine process) (?:initialization )?failed"
    r"|check the stack trace above|failed with exit code|returned non-zero exit status"
    r"|exited unexpectedly with code"
    r"|(?:(?:CUDA|HIP) error|cuda runtime error \(\d{1,4}\) ?): "
    r"(?:uncorrectable|unknown error|hardware|device lost|nvlink"
    r"|peer access|unspecified launch"
    r"|invalid device ordinal|"
    r"all CUDA-capable devices)"
    r"|CUDA unknown error - this may be due|communication with rank|Socket Timeout|died unexpectedly"
    r"|process \d+ terminated with (?:signal|exit)",
    re.IGNORECASE,
)
# An object of a collective that is none: others were in another call. And what libraries say of that.
UNPACKS = re.compile(r"in (?:all_gather_list|_tensor_to_object)$")
OUT_OF_STEP = re.compile(r"workers have fallen out of sync|workers got out of sync")
OLD_CHECK = re.compile(
    r"Mismatch between collective operation types|verifying shape tensors for collective"
    r"|is running inconsistent collective: "
)
# Whom a signal ended, or the memory's keeper: somebody else's words tell why.
SEEN_ELSEWHERE = re.compile(r"is killed by signal: |killed due to the node running low|killed due to memory")
STOPS = {"KeyboardInterrupt", "SignalException", "SystemExit", "GeneratorExit"}
OWN = {"rank_hook", "elastic_error"}  # who only tells of what nobody caught


def is_stop(event: Event) -> bool:
    """Whether an exception is the program's way to obey somebody who asked it to stop."""
    return str(event.data.get("type", "")).rpartition(".")[2] in STOPS


def kind_of(event: Event) -> str | None:
    """The fact an exception amounts to; None for a stop that was asked for, and for words of a rendezvous."""
    name, message = str(event.data.get("type", "")), str(event.data.get("message", ""))
    if is_stop(event) or said(f"{name}: {message}"):
        return None
    if told := nccl.said(message):
        return "peer.connection_lost" if told[0] == "nccl.connection_lost" else None  # its own facts tell
    short = name.rpartition(".")[2]
    if short in LOSSES:
        return "peer.connection_lost"
    if "has inconsistent 0 params" in message:
        return None
    if TIMED_OUT.search(message) or is_unheard(event):
        return "collective.timed_out"
    if DIFFERS.search(message) or OLD_CHECK.search(message) or is_out_of_step(event):
        return "collective.refused"
    if LOST.search(message):
        return "peer.connection_lost"
    if nccl.ERROR.search(message):
        return "nccl.failed"
    return None if short in SECONDHAND or GAVE_UP.search(message) else "exception.raised"


def is_out_of_step(event: Event) -> bool:
    """Whether what came out of a collective was no answer to what the rank had asked."""
    frames = event.data.get("frames")
    inner = frames[-2:] if isinstance(frames, list) else []
    is_unpacking = str(event.data.get("type", "")).endswith(("UnpicklingError", "EOFError"))
    return bool(OUT_OF_STEP.search(str(event.data.get("message", "")))) or (
        is_unpacking and any(UNPACKS.search(str(frame)) for frame in inner)
    )


def is_unheard(event: Event) -> bool:
    """Whether an engine's queue to its workers gave up without a word: vLLM's."""
    frames, message = event.data.get("frames"), event.data.get("message")
    is_mute = not message or message == "cancelled"
    return is_mute and isinstance(frames, list) and any("shm_broadcast.py" in str(f) for f in frames[-3:])


def identity(event: Event) -> tuple[str, str]:
    """What makes two tellings one exception: a log and a file quote types and long messages differently."""
    name, message = str(event.data.get("type", "")), str(event.data.get("message", ""))
    return name.rpartition(".")[2], message.split("\n")[0].strip()[:120]


def chains(events: Iterable[Event]) -> list[list[Event]]:
    """Exceptions of one rank by chain, the one that came last at the end of each."""
    found: list[list[Event]] = [[]]
    for event in events:
        found[-1].append(event)
        if is_end(event):
            found.append([])
    return [chain for chain in found if chain]


def is_end(event: Event) -> bool:
    """Whether an exception is the one that its chain ends in."""
    return event.data.get("end") is not False


def merged(found: Iterable[list[Event]]) -> list[list[Event]]:
    """Tellings of one chain in one, what it began with first."""
    groups: dict[tuple[str, str], list[Event]] = {}
    for chain in found:
        groups.setdefault(identity(chain[-1]), []).extend(chain)
    return [sorted(chain, key=is_end) for chain in groups.values()]


def kinds(chain: list[Event]) -> list[tuple[str, Event]]:
    """Each exception of a chain with its kind; what follows on a lost peer is no cause of its own."""
    told = [(kind, event) for event in chain if (kind := kind_of(event))]
    first = told[0][0] if told else ""
    return [(kind if first == "exception.raised" else first, event) for kind, event in told]


def is_in_program(stack: Event) -> bool:
    """Whether a main thread is inside its program's file: what nobody catches unwinds all of it."""
    frames, paths = stack.data.get("main"), stack.data.get("paths")
    if not isinstance(frames, list) or not isinstance(paths, list):
        return False
    pairs = zip(map(str, frames), map(str, paths), strict=False)
    return any(frame.startswith("<module> (") and not path.startswith("<") for frame, path in pairs)


def inside(evidence: Evidence) -> set[int | None]:
    """The ranks whose main thread a stack shows inside their program."""
    return {event.rank for event in evidence.of("stack.read") if is_in_program(event)}


def may_all_live(evidence: Evidence) -> bool:
    """Whether a visit to a running job met every rank, and no stack shows one outside its program."""
    met = {event.rank for event in evidence.of("rank.found")}
    seen = {event.rank for event in evidence.of("stack.read")}
    return bool(met) and len(met) >= (evidence.num_ranks or 0) and seen <= inside(evidence)


def all_live(evidence: Evidence) -> bool:
    """The same, and each was seen."""
    return may_all_live(evidence) and {e.rank for e in evidence.of("rank.found")} <= inside(evidence)


def outlived(event: Event, evidence: Evidence) -> bool:
    """Whether a thread died of an exception and its rank went on training without it."""
    if event.time is None or event.data.get("thread") in (None, "MainThread"):
        return False
    told = [
        e
        for e in evidence.of("rank.sampled", "rank.died")
        if e.rank == event.rank and (e.time or 0) > event.time
    ]
    steps = [n for e in told if isinstance(n := e.data.get("num_steps"), int)]
    return bool(steps) and max(steps) > min(steps)


def nameless(evidence: Evidence) -> list[list[Event]]:
    """Chains of exceptions in logs that do not tell whose they are, unless the ranks tell of them too.

    Where ranks left words of their own, what a launcher prints without a name is its own or a copy. Where a
    visit found each of them inside its program, none of them ended of it.
    """
    if any(evidence.of("rank.claimed")) or OWN & evidence.read or all_live(evidence):
        return []
    found = [e for e in evidence.of("exception.raised") if e.rank is None]
    known = {identity(e) for e in evidence.of("exception.raised") if e.rank is not None}
    found = [e for e in found if not SEEN_ELSEWHERE.search(str(e.data.get("message")))]
    return merged(chain for chain in chains(found) if identity(chain[-1]) not in known)


def parted(evidence: Evidence) -> tuple[dict[int, list[list[Event]]], dict[int, list[list[Event]]]]:
    """Chains of exceptions by rank: those that nobody caught, and those that were caught and printed."""
    by_rank: dict[int, list[Event]] = {}
    for event in evidence.of("exception.raised"):
        if event.rank is not None:
            by_rank.setdefault(event.rank, []).append(event)
    hooked = {e.rank for e in evidence.of("rank.claimed") if e.source == "rank_hook"}
    alive = inside(evidence)
    ends = ended(evidence)
    uncaught: dict[int, list[list[Event]]] = {}
    caught: dict[int, list[list[Event]]] = {}
    for rank, events in by_rank.items():
        own = chains(e for e in events if e.source in OWN and not outlived(e, evidence))
        logged = chains(e for e in events if e.source not in OWN)
        names = {identity(chain[-1]) for chain in own}
        end = ends.get(rank)
        if end is not None and end.code == 0:
            own, kept = [], list[list[Event]]()
        elif own:
            kept = [chain for chain in logged if identity(chain[-1]) in names]
        elif rank in hooked or rank in alive:  # it left past the hook (os._exit), or it lives on
            kept = logged[-1:] if end is not None and end.code else []
        else:
            kept = logged
        if found := merged([*kept, *own]):
            uncaught[rank] = found
        if rest := [chain for chain in logged if chain not in kept]:
            caught[rank] = rest
    return uncaught, caught

"""parse > derive > match > decide. Sources and facts are found by being files in their folders."""

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from types import ModuleType

import msgspec

from diagnose import clusters, contents, coverage, days, pool, processes
from diagnose.attempts import of_the_run, stands
from diagnose.clocks import straighten
from diagnose.conclude import decide
from diagnose.explaining import explain
from diagnose.judge import match
from diagnose.model import Event, Evidence, Fact, Member
from diagnose.naming import rank_of
from diagnose.playbook import Playbook, load
from diagnose.undressing import undressed, unwrapped
from diagnose.verdict import Verdict
from probes.redact import redact_value

SMALL = 4 << 20  # JSON of this size grows to some 100 MB at most
SAYS_NOTHING = {"log.read", "source.unreadable"}
FEW = 16  # so many such files are read before a child has started
Told = Callable[[int, int], None]


def silent(num_read: int, num: int) -> None:
    """Tell nobody how far the reading is."""


@cache
def modules(package: str) -> list[ModuleType]:
    """Every module of a folder, by name."""
    path = importlib.import_module(package).__path__
    return [importlib.import_module(f"{package}.{m.name}") for m in pkgutil.iter_modules(path)]


def parse(
    members: Iterable[Member], told: Told = silent, num_children: int | None = None
) -> tuple[list[Event], list[str], list[str]]:
    """Events of all files, and the files that were and were not recognised.

    Files that may try anything, and many of a kind, are read by children. `told` hears (files read, files).
    """
    members = list(members)
    found: list[list[Event]] = [[] for _ in members]
    confined: list[pool.Job] = []
    recognised: list[str] = []
    unrecognised: list[str] = []
    are_harmless = True
    for index, member in enumerate(members):
        try:
            member, head, readers = known(member)
        except OSError as error:
            found[index] = [unreadable(member, error)]
            continue
        if not readers:
            found[index] = searched(member, head)
        (recognised if readers or found[index] else unrecognised).append(member.where)
        for reader in readers:
            if is_confined(reader):
                confined.append(pool.Job(index, name_of(reader), member))
                are_harmless &= is_harmless(member, head)
            else:
                found[index] += read(reader, member)
        told(index + 1 - len(confined), len(members))
    kept: dict[object, object] = {}
    is_small = are_harmless and len(confined) <= FEW
    answers = map(inline, confined) if is_small else pool.read(confined, num_children)
    for num_read, (index, events) in enumerate(answers, len(members) - len(confined) + 1):
        found[index] += shared(events, kept)
        told(num_read, len(members))
    return [event for events in found for event in events], recognised, unrecognised


def known(member: Member) -> tuple[Member, bytes, list[ModuleType]]:
    """The file without what its tools put around its lines, its head, and who reads it. Raises OSError.

    A log keeps a runtime's stamps, which tell when; what is no log is not known by them.
    """
    member, head = undressed(member)
    readers = readers_of(member, head)
    if not is_pickle(head) and (bare := unwrapped(member, head)):
        others = readers_of(*bare)
        if set(others) - set(readers) and not any(map(is_log, others)):
            return *bare, others
    return member, head, readers


def readers_of(member: Member, head: bytes) -> list[ModuleType]:
    """Who knows a file; of a pickle only those are asked that read in confinement, as a job has thousands."""
    found = modules("diagnose.sources")
    able = [module for module in found if is_confined(module)] if is_pickle(head) else found
    return [module for module in able if module.recognises(member.where, head)]


def is_pickle(head: bytes) -> bool:
    return head[:1] == b"\x80"


def is_confined(source: ModuleType) -> bool:
    return bool(getattr(source, "CONFINED", False))


def is_log(source: ModuleType) -> bool:
    return hasattr(source, "may_hold")


def read(source: ModuleType, member: Member) -> list[Event]:
    """The events of one file, by one source, in this process."""
    events: list[Event] = []
    try:
        events.extend(clean(event) for event in source.parse(member))
    except OSError as error:  # what came before the damage stays
        events.append(unreadable(member, error))
    return events


def searched(member: Member, head: bytes) -> list[Event]:
    """The events of a file that nobody knows by its head; none where it holds no line that anybody knows."""
    for source in modules("diagnose.sources"):
        if is_log(source) and source.may_hold(member.where, head):
            events = read(source, member)
            told = [event for event in events if event.kind not in SAYS_NOTHING]
            if any(not event.within for event in told):
                return events
            if told:  # lines of others alone: it need not be a log of this kind
                return [event for event in events if event.kind != "log.read"]
    return []


def inline(job: pool.Job) -> tuple[int, list[Event]]:
    source = importlib.import_module(f"diagnose.sources.{job.source}")
    return job.number, read(source, job.member)


def is_harmless(member: Member, head: bytes) -> bool:
    """Whether a file may be read in this process: JSON of a size at which it can do no harm."""
    return head[:1] in (b"{", b"[") and 0 <= member.size <= SMALL


def shared(events: list[Event], kept: dict[object, object]) -> list[Event]:
    """The same events with equal texts and number lists kept once: in a large job most ranks say the same."""
    for event in events:
        for name, value in event.data.items():
            if isinstance(value, list) and value and type(value[0]) is int:
                event.data[name] = kept.setdefault(tuple(value), value)
            elif isinstance(value, list):
                for row in value:
                    if isinstance(row, list):
                        row[:] = [kept.setdefault(one, one) if type(one) is str else one for one in row]
    return events


def unreadable(member: Member, error: OSError) -> Event:
    """What cannot be read belongs to the source, and to the rank, that its name alone tells."""
    readers = [m for m in modules("diagnose.sources") if m.recognises(member.where, b"")]
    return Event(
        kind="source.unreadable",
        source=name_of(readers[0]) if len(readers) == 1 else "bundle",
        where=member.where,
        rank=rank_of(member.where, trailing=True) if len(readers) == 1 else None,
        data={"reason": error.strerror or str(error)},
    )


def name_of(source: ModuleType) -> str:
    return source.__name__.rpartition(".")[2]


def clean(event: Event) -> Event:
    """The event without secrets: foreign evidence may hold them."""
    data = redact_value(event.data)
    return event if data == event.data else msgspec.structs.replace(event, data=data)


def derive(evidence: Evidence) -> list[Fact]:
    """Every fact of every module."""
    return [fact for module in modules("diagnose.facts") for fact in module.derive(evidence)]


@cache
def needs() -> dict[str, tuple[str, ...]]:
    """Fact kind -> the sources, any of which could show it."""
    return {kind: spec.needs for module in modules("diagnose.facts") for kind, spec in module.KINDS.items()}


def parted(events: Sequence[Event]) -> dict[str, list[Event]]:
    """Attempt -> its events, oldest first; the containers of a cluster are one."""
    known = clusters.of(events)
    return coverage.by_attempt(clusters.told_apart(events, known), known.attempt)


def judge(bundle: str, events: Sequence[Event], book: Playbook, explained: str = "") -> Verdict:
    """The verdict on the events of one attempt, and why the failure `explained` is in it or is not."""
    evidence = coverage.gather(processes.named(days.of_the_job(straighten(events))))
    facts = derive(evidence)
    findings = [match(name, failure, facts, evidence, needs()) for name, failure in book.failures.items()]
    verdict = decide(bundle, findings, facts, evidence, book, needs())
    asked = next((finding for finding in findings if finding.failure == explained), None)
    if asked is None:
        return verdict
    told = explain(asked, verdict, facts, evidence, book, needs())
    return msgspec.structs.replace(verdict, explained=told)


def diagnose_bundle(
    bundle: str,
    members: Iterable[Member],
    book: Playbook | None = None,
    told: Told = silent,
    explained: str = "",
) -> Verdict:
    """The verdict on a bundle, which may hold several attempts at one run.

    `bundle` is the bundle's name as the user gave it; `told` hears how far the reading is;
    `explained` names a failure to be explained clause by clause.
    """
    book = book or load()
    events, recognised, unrecognised = parse(members, told)
    attempts = parted(events)
    verdicts = [judge(bundle, part, book, explained) for part in attempts.values()]
    chosen = of_the_run(verdicts, stands(list(attempts.values())[-1]))
    return msgspec.structs.replace(
        chosen,
        run=msgspec.structs.replace(chosen.run, attempts=[a for a in attempts if a]),
        recognised=recognised,
        unrecognised=unrecognised,
        recognised_in=contents.table(events),
        unrecognised_lines=contents.unknown(events),
    )

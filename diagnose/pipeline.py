"""parse > derive > match > decide. Sources and facts are found by being files in their folders."""

import importlib
import pkgutil
from collections.abc import Iterable, Sequence
from functools import cache
from types import ModuleType

import msgspec

from diagnose import coverage
from diagnose.clocks import straighten
from diagnose.conclude import decide
from diagnose.judge import match
from diagnose.model import Event, Evidence, Fact, Member
from diagnose.playbook import Playbook, load
from diagnose.verdict import Verdict
from probes.redact import redact_value

HEAD = 64 << 10  # bytes shown to `recognises`


@cache
def modules(package: str) -> list[ModuleType]:
    """Every module of a folder, by name."""
    path = importlib.import_module(package).__path__
    return [importlib.import_module(f"{package}.{m.name}") for m in pkgutil.iter_modules(path)]


def parse(members: Iterable[Member]) -> tuple[list[Event], list[str], list[str]]:
    """Events of all files, and the files that were and were not recognised."""
    events: list[Event] = []
    recognised: list[str] = []
    unrecognised: list[str] = []
    for member in members:
        try:
            head = member.read(HEAD)
        except OSError as error:
            events.append(unreadable(member, error))
            continue
        readers = [m for m in modules("diagnose.sources") if m.recognises(member.where, head)]
        (recognised if readers else unrecognised).append(member.where)
        for reader in readers:
            try:
                events += (clean(event) for event in reader.parse(member))
            except OSError as error:
                events.append(unreadable(member, error))
    return events, recognised, unrecognised


def unreadable(member: Member, error: OSError) -> Event:
    return Event(
        kind="source.unreadable",
        source="bundle",
        where=member.where,
        data={"reason": error.strerror or str(error)},
    )


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


def judge(bundle: str, events: Sequence[Event], book: Playbook) -> Verdict:
    """The verdict on the events of one attempt."""
    evidence = coverage.gather(straighten(events))
    facts = derive(evidence)
    findings = [match(name, failure, facts, evidence, needs()) for name, failure in book.failures.items()]
    return decide(bundle, findings, facts, evidence, book, needs())


def diagnose_bundle(bundle: str, members: Iterable[Member], book: Playbook | None = None) -> Verdict:
    """The verdict on a bundle: of the last attempt that has a cause, else of the last attempt.

    `bundle` is the bundle's name as the user gave it.
    """
    book = book or load()
    events, recognised, unrecognised = parse(members)
    attempts = coverage.by_attempt(events)
    verdicts = [judge(bundle, part, book) for part in attempts.values()]
    chosen = next((v for v in reversed(verdicts) if v.causes), verdicts[-1])
    return msgspec.structs.replace(
        chosen,
        run=msgspec.structs.replace(chosen.run, attempts=[a for a in attempts if a]),
        recognised=recognised,
        unrecognised=unrecognised,
    )

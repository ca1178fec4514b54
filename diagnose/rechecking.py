"""Where certificates are tested: reads the dumps that they name again, confined, and asks `audit`."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from diagnose import bundle, pool
from diagnose.audit import Claim, audit
from diagnose.audit_fronts import Dumps
from diagnose.certificate import Link
from diagnose.ledger import KIND, Ledger
from diagnose.model import Member
from diagnose.sources import flight_recorder
from diagnose.undressing import undressed
from diagnose.verdict import Cause, Verdict

MAX_LINE = 1 << 20
READER = "diagnose.ledger"


def recheck(path: Path, verdict: Verdict) -> list[tuple[Cause, list[Claim]]]:
    """Each cause that has a certificate, with its claims. Raises bundle.BundleError."""
    causes = [cause for cause in verdict.causes if cause.certificate]
    told = dumps(path, verdict) if causes else Dumps({})
    return [(cause, audit(cause.certificate, cause.ranks, told)) for cause in causes]


def dumps(path: Path, verdict: Verdict) -> Dumps:
    """What lies there of all that the certificates of a verdict name."""
    members = list(bundle.members(str(path)))
    links = [link for cause in verdict.causes for link in cause.certificate]
    found, unread = ledgers(members, links)
    return Dumps(found, groups(members), unread)


def ledgers(
    members: Iterable[Member], links: Iterable[Link]
) -> tuple[dict[str, Ledger | None], dict[str, str]]:
    """The dumps that links name, and all beside them where a link is about one that is not named.

    And why there is no answer on some: a reader that is late on a busy host says nothing of the dump.
    """
    fronts = [front for link in links if link.says != "told" for front in link.fronts]
    cited = {where for front in fronts for where in (*front.where, *front.before)}
    is_cut = any(len(front.where) < len(front.ranks) for front in fronts)
    folders = {where.rpartition("/")[0] for where in cited} if is_cut else set()
    jobs = [
        pool.Job(num, READER, plain(member))
        for num, member in enumerate(members)
        if member.where in cited or (member.where.rpartition("/")[0] in folders and is_dump(member))
    ]
    where = {job.number: job.member.where for job in jobs}
    found: dict[str, Ledger | None] = dict.fromkeys(where.values())
    unread: dict[str, str] = {}
    for number, events in pool.read(jobs):
        for event in events:
            if event.kind == KIND:
                found[where[number]] = msgspec.convert(event.data, Ledger)
            elif event.source == READER:  # the pool's word, not that of the reader
                unread[where[number]] = str(event.data.get("reason"))
    return found, unread


def plain(member: Member) -> Member:
    """As the sources read it; what cannot be read says so later."""
    try:
        return undressed(member)[0]
    except OSError:
        return member


def is_dump(member: Member) -> bool:
    try:
        return flight_recorder.recognises(member.where, undressed(member)[1])
    except OSError:
        return False


def groups(members: Iterable[Member]) -> Mapping[str, frozenset[frozenset[int]]]:
    """Group name -> who is in it, as the ranks' hooks tell: gloo's dumps do not."""
    found: dict[str, set[frozenset[int]]] = {}
    for member in members:
        for event in lines(member) if "/events/" in f"/{member.where}" else ():
            ranks = event.get("ranks")
            if event.get("event") == "group.created" and isinstance(ranks, list):
                mine = frozenset(rank for rank in ranks if isinstance(rank, int))
                found.setdefault(str(event.get("group", "")), set()).add(mine)
    return {name: frozenset(sets) for name, sets in found.items()}


def lines(member: Member) -> Iterator[dict[str, object]]:
    try:
        data = member.read()
    except OSError:
        return
    for line in data.splitlines():
        if b'"group.created"' in line and len(line) < MAX_LINE:
            try:
                value = msgspec.json.decode(line)
            except (msgspec.DecodeError, UnicodeError, RecursionError):
                continue
            if isinstance(value, dict):
                yield value

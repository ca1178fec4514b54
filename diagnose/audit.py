"""Certificates tested against the dumps again, claim by claim, without the reasoning that made them. Pure.

A claim is one front of a link (how far some ranks have come, by their dumps), or what a link says by its
fronts. It is `ok`, `not confirmed`, or `cannot be checked`: then it does not rest on dumps.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from diagnose.audit_fronts import Dumps, of_dump, place
from diagnose.audit_rules import LATE, RULES
from diagnose.certificate import Front, Link
from diagnose.model import named

OK, WRONG, OPEN = "ok", "not confirmed", "cannot be checked"


class Claim(NamedTuple):
    """`why`: empty where it is ok."""

    outcome: str
    text: str
    where: str = ""
    why: str = ""


def audit(links: Iterable[Link], ranks: Iterable[int], dumps: Dumps) -> list[Claim]:
    """Every claim of a cause's certificate. `ranks`: whom the cause names."""
    links = list(links)
    found = [claim for link in links for claim in of_link(link, dumps)]
    recorded = [link for link in links if link.says != "told"]
    about = {rank for link in recorded for front in link.fronts for rank in front.ranks}
    if recorded and (left := sorted(set(ranks) - about)):
        found.append(Claim(WRONG, f"it is about {named(left)}", "", f"about {named(sorted(about))}"))
    settled = {rank for link in recorded for rank in link.ranks("free", "waits", "behind", "begun", "silent")}
    late = {rank for link in recorded for rank in link.ranks(*LATE)}
    if late:
        text = "each awaited rank itself waits, is behind, left no dump, or waits for nobody"
        loose = named(sorted(late - settled)) if late - settled else ""
        found.append(Claim(WRONG if loose else OK, text, "", loose and f"nothing is said of {loose}"))
    return found


def of_link(link: Link, dumps: Dumps) -> Iterator[Claim]:
    if link.says == "told":
        where = next((w for front in link.fronts for w in front.where), "")
        yield Claim(OPEN, link.text, where, "no flight recorder dump bears it out")
        return
    for front in link.fronts:
        yield of_front(link, front, dumps)
    why = next(filter(None, (rule(link, dumps) for rule in RULES)), "")
    yield Claim(WRONG if why else OK, link.text, "", why)


def of_front(link: Link, front: Front, dumps: Dumps) -> Claim:
    where = front.where[0] if front.where else ""
    text = words(link, front)
    if front.role == "silent":
        folders = {w.rpartition("/")[0]: w for other in link.fronts for w in other.where}
        there = [w for at in folders.values() for r, w in dumps.beside(at).items() if r in front.ranks]
        read = next((w for w in there if dumps.ledgers[w] is not None), "")
        return Claim(WRONG if read else OK, text, read, read and "there is one")
    why = unread = ""
    for at, rank in enumerate(front.ranks):
        for scan in (front.where, front.before):
            dump = place(scan, at, rank, dumps) if scan or scan is front.where else None
            if dump is not None and dump in dumps.unread:
                unread = unread or f"{dump}: {dumps.unread[dump]}"
            elif dump is not None:
                why = why or of_dump(link, front, rank, dump, dumps)
    if not front.ranks:
        why = "no rank is named"
    if not why and unread:
        return Claim(OPEN, text, where, unread)
    if not why and front.basis == "report":
        return Claim(OPEN, text, where, "gloo calls done what failed: that it failed, their own errors tell")
    return Claim(WRONG if why else OK, text, where, why)


def words(link: Link, front: Front) -> str:
    who, has = named(front.ranks), "has" if len(front.ranks) == 1 else "have"
    if front.role == "silent":
        return f"{who} left no dump"
    if front.role == "free":
        return f"nothing of {who} is open"
    if link.transfer:
        return f"{who}: {front.launched} launched, {front.completed} done, of {link.place()}"
    if front.basis == "none":
        return f"no dump of {who} shows {link.place()}"
    of = link.group.title() if link.group else ""
    begun = f", begun to #{front.started}" if front.started is not None else ""
    call = f"; called {front.call} at #{link.seq}" if front.call else ""
    return (
        f"{who} {has} launched to #{front.launched} of {of}, and completed to #{front.completed}{begun}{call}"
    )

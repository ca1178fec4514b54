"""Facts in, findings out; then findings in, causes out. All of it pure."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from diagnose.model import Evidence, Fact, Finding, Status
from diagnose.playbook import Clause, Failure, Playbook

Unit = int | str | None  # a rank, a node, or the job
Needs = Mapping[str, tuple[str, ...]]  # fact kind -> sources, any of which could show it


def hits(clause: Clause, facts: Iterable[Fact]) -> list[Fact]:
    """The facts that satisfy a clause."""
    return [
        fact
        for fact in facts
        if fact.kind == clause.fact
        and all(test.holds(fact.data.get(key)) for key, test in clause.where.items())
    ]


def about(fact: Fact, unit: Unit, evidence: Evidence) -> bool:
    """Whether a fact speaks about this rank, node or job. One that names nobody speaks about all."""
    if isinstance(unit, int):
        return not fact.ranks or unit in fact.ranks
    if unit is None or not (fact.nodes or fact.ranks):
        return True
    return unit in fact.nodes or any(evidence.nodes.get(rank) == unit for rank in fact.ranks)


def ask(clause: Clause, unit: Unit, found: Sequence[Fact], evidence: Evidence, needs: Needs) -> bool | None:
    """Kleene's answer to one clause for one unit: None where no source could have shown it, or it is open."""
    if told := [fact for fact in found if about(fact, unit, evidence)]:
        return None if all(fact.open for fact in told) else True
    rank = unit if isinstance(unit, int) else None
    return False if evidence.sees(needs.get(clause.fact, ()), rank) else None


def wanted(
    clause: Clause, unit: Unit, found: Sequence[Fact], evidence: Evidence, needs: Needs
) -> Iterable[str]:
    """The sources that would settle a clause; for an open fact those that it rests on, once more."""
    told = [event.source for fact in found if about(fact, unit, evidence) for event in fact.events]
    return told or needs.get(clause.fact, ())


def seen(found: Sequence[Fact], unit: Unit, evidence: Evidence) -> bool:
    """Whether one of the facts about this unit is more than an inference."""
    return any(not fact.inferred for fact in found if about(fact, unit, evidence))


def units(failure: Failure, found: Sequence[Sequence[Fact]], evidence: Evidence) -> list[Unit]:
    """The ranks, nodes or the one job that this failure may be about; the job where no fact names any."""
    if failure.scope == "job" or not any(found):
        return [None]
    facts = [fact for group in found for fact in group]
    if failure.scope == "node":
        return [*sorted({node for f in facts for node in f.nodes} | set(evidence.nodes.values()))] or [None]
    return [*sorted({rank for f in facts for rank in f.ranks})] or [None]


def match(name: str, failure: Failure, facts: Sequence[Fact], evidence: Evidence, needs: Needs) -> Finding:
    """Hold one failure mode against the facts, unit by unit.

    Absent where every unit lacks some of `when` or has some of `unless`, present where one satisfies all;
    else unknown, also where nothing at all could be seen: such a finding has no facts.
    """
    clauses = [*failure.when, *failure.unless, *failure.confirm]
    found = {id(clause): hits(clause, facts) for clause in clauses}
    present: list[Unit] = []
    unknown: list[Unit] = []
    missing: set[str] = set()
    proven = True
    for unit in units(failure, [found[id(c)] for c in failure.when], evidence):

        def answer(clause: Clause, unit: Unit = unit) -> bool | None:
            return ask(clause, unit, found[id(clause)], evidence, needs)

        when = [answer(clause) for clause in failure.when]
        unless = [answer(clause) for clause in failure.unless]
        if False in when or True in unless:
            continue
        if None not in when and None not in unless:
            present.append(unit)
            proven = proven and all(answer(clause) for clause in failure.confirm)
            proven = proven and all(seen(found[id(c)], unit, evidence) for c in failure.when)
        else:
            unknown.append(unit)
            unseen = [
                c
                for c, a in zip([*failure.when, *failure.unless], [*when, *unless], strict=True)
                if a is None
            ]
            missing.update(
                source for c in unseen for source in wanted(c, unit, found[id(c)], evidence, needs)
            )
    if not present and not unknown:
        return Finding(failure=name, status=Status.ABSENT)
    chosen = present or unknown
    used = [
        f
        for c in [*failure.when, *failure.confirm]
        for f in found[id(c)]
        if any(about(f, u, evidence) for u in chosen)
    ]
    ranks = [u for u in chosen if isinstance(u, int)]
    if failure.scope != "rank":
        ranks = sorted({rank for fact in used for rank in fact.ranks})
    return Finding(
        failure=name,
        status=Status.PRESENT if present else Status.UNKNOWN,
        ranks=ranks,
        nodes=sorted(
            {u for u in chosen if isinstance(u, str)}
            | {evidence.nodes[r] for r in ranks if r in evidence.nodes}
            | (
                {node for fact in used for node in fact.nodes}
                if chosen == [None] and failure.scope == "rank"
                else set()
            )
        ),
        grade="" if not present else "proven" if proven and heard(ranks, evidence) else "likely",
        since=min((fact.since for fact in used if fact.since is not None), default=None),
        facts=unique(used),
        missing=[] if present else sorted(missing),
    )


def heard(ranks: Sequence[int], evidence: Evidence) -> bool:
    """Whether every rank outside `ranks` left anything at all: a silent one caps the grade."""
    return set(range(evidence.num_ranks or 0)) <= {*ranks, *evidence.ranks}


def unique(facts: Iterable[Fact]) -> list[Fact]:
    return list({id(fact): fact for fact in facts}.values())


def effects(name: str, playbook: Playbook) -> set[str]:
    """Everything a failure explains, through others too."""
    seen: set[str] = set()
    todo = [name]
    while todo:
        for effect in playbook.failures[todo.pop()].explains:
            if effect not in seen:
                seen.add(effect)
                todo.append(effect)
    return seen


def reach(cause: Finding, effect: Finding, playbook: Playbook, evidence: Evidence) -> set[int] | None:
    """The ranks of `effect` that `cause` accounts for; None: the whole of it.

    An effect that begins before its cause (beyond the clocks' skew) is not accounted for. On the cause's own
    ranks it may: others can wait for a rank long before that fails.
    """
    skew = playbook.limits.clock_skew_s
    failure = playbook.failures[effect.failure]
    if cause.since is not None and effect.since is not None and effect.since < cause.since - skew:
        return set(cause.ranks) if failure.role == "root" and failure.scope == "rank" else set()
    scope = playbook.failures[cause.failure].scope
    if failure.role != "root" or failure.scope == "job" or scope == "job":
        return None
    if scope == failure.scope == "rank" and not (cause.ranks and effect.ranks):
        return None  # nobody says of which rank: nothing tells that it is another one
    if scope == "node" and not ((effect.ranks or effect.nodes) and (cause.ranks or cause.nodes)):
        return None  # nor of which node
    if failure.scope == "node" and not effect.ranks:
        return None if not (effect.nodes and cause.nodes) or set(effect.nodes) & set(cause.nodes) else set()
    if scope == "node":
        near = {rank for rank in effect.ranks if evidence.nodes.get(rank) in cause.nodes}
        return near | set(cause.ranks)
    return set(cause.ranks)


def unexplained(findings: Sequence[Finding], playbook: Playbook, evidence: Evidence) -> list[Finding]:
    """What no other present finding accounts for, reduced to the ranks that are left, earliest first."""
    present = [f for f in findings if f.status is Status.PRESENT]
    left = []
    for effect in present:
        ranks: set[int] | None = set(effect.ranks)
        for cause in present:
            if cause is effect or effect.failure not in effects(cause.failure, playbook):
                continue
            covered = reach(cause, effect, playbook, evidence)
            ranks = None if covered is None or ranks is None else ranks - covered
            if ranks is None:
                break
        if ranks is None or (effect.ranks and not ranks):
            continue
        left.append(msgspec.structs.replace(effect, ranks=sorted(ranks)))
    return sorted(left, key=lambda f: (f.since is None, f.since or 0.0, f.failure))

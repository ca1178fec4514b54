"""Findings in, verdict out: the words a person or a script reads. Pure."""

from collections.abc import Sequence

import msgspec

from diagnose.certificate import Front, Link
from diagnose.judge import Needs, ask, effects, hits, unexplained
from diagnose.merged import merge
from diagnose.model import Evidence, Fact, Finding, Status
from diagnose.playbook import Playbook, Tree
from diagnose.verdict import Advice, Cause, Citation, Collect, Run, Stack, Step, Unknown, Verdict, Wait

ORDER = ("hang", "crash", "slow", "will_not_start", "wrong_numbers", "output_missing")


def cite(facts: Sequence[Fact]) -> list[Citation]:
    """One line a fact, with the place to open."""
    return [Citation(fact=f.kind, where=f.events[0].where if f.events else "", text=f.text) for f in facts]


def present(finding: Finding, findings: Sequence[Finding], facts: Sequence[Fact], book: Playbook) -> Cause:
    """One present finding with everything the playbook says of it."""
    failure = book.failures[finding.failure]
    others = {f.failure for f in findings if f.status is Status.PRESENT}
    mine = [f for f in finding.facts if not f.ranks or not finding.ranks or set(f.ranks) & set(finding.ranks)]
    mine += more(mine, finding, facts, {clause.fact for clause in failure.confirm})
    return Cause(
        failure=finding.failure,
        title=failure.title,
        scope=failure.scope,
        role=failure.role,
        ranks=finding.ranks,
        nodes=finding.nodes,
        grade=finding.grade,
        since=finding.since,
        summary=" ".join(failure.summary.split()),
        evidence=cite(mine),
        certificate=certificate(finding, facts),
        explains=sorted(effects(finding.failure, book) & others),
        lookalikes=failure.lookalikes,
        remedies=[
            Advice(id=r, title=m.title, do=m.do.strip(), verify=m.verify.strip(), risk=m.risk)
            for r in failure.remedies
            for m in [book.remedies[r]]
        ],
    )


def certificate(finding: Finding, facts: Sequence[Fact]) -> list[Link]:
    """What the dumps say of the ranks of a finding; of waits that no dump shows, the words alone.

    Of the waits for one rank the first is enough.
    """
    chain = [f for f in facts if f.kind in {"collective.awaited", "collective.behind"}]
    found: dict[str, Link] = {}
    shown: set[int] = set()
    for fact in [*finding.facts, *(f for f in chain if f not in finding.facts)]:
        links = fact.data.get("certificate")
        links = links if isinstance(links, list) else []
        if not links and fact in chain:
            where = [event.where for event in fact.events[:1]]
            links = [Link("told", fact.text, fronts=[Front("told", fact.ranks, where=where)])]
        mine = set(fact.ranks) & set(finding.ranks)
        if mine and not (fact in chain and mine <= shown):
            found |= {link.text: link for link in links if link.text not in found}
            shown |= mine if links else set()
    return list(found.values())


def more(used: Sequence[Fact], finding: Finding, facts: Sequence[Fact], asked: set[str]) -> list[Fact]:
    """What else was seen of the same subject on these ranks alone: worth a line, though no condition asks.

    So is what was `asked` for to confirm it, and is otherwise than it would have to be.
    """
    subjects = {fact.kind.partition(".")[0] for fact in used}
    return [
        fact
        for fact in facts
        if fact not in used
        and (fact.kind.partition(".")[0] in subjects or fact.kind in asked)
        and fact.ranks
        and set(fact.ranks) <= set(finding.ranks)
    ]


def named_by(tree: Tree) -> set[str]:
    """The failures a tree ends in."""
    ends = {end for node in tree.node.values() for end in (node.yes, node.no)}
    return {end.removeprefix("failure:") for end in ends if end.startswith("failure:")}


def suspects(symptom: str, book: Playbook) -> set[str]:
    """What may be behind a symptom although nothing was seen of it: a job that did well has no such."""
    trees = (
        book.trees.values()
        if symptom == "unknown"
        else [book.trees[symptom]]
        if symptom in book.trees
        else []
    )
    return set().union(*(named_by(tree) for tree in trees))


def stronger(causes: Sequence[Cause], book: Playbook) -> set[str]:
    """Failures that would account for a cause by another statement on the same subject."""
    subjects = {cause.failure: {c.fact.partition(".")[0] for c in cause.evidence} for cause in causes}
    return {
        name
        for name, failure in book.failures.items()
        for cause, told in subjects.items()
        if cause in effects(name, book) and {clause.fact.partition(".")[0] for clause in failure.when} & told
    }


def symptom(
    causes: Sequence[Cause], contexts: Sequence[Finding], facts: Sequence[Fact], book: Playbook
) -> str:
    """What a person sees first: the outcome, unless the first cause is never seen that way.

    A context changes it to slow at most.
    """
    seen = next((str(f.data["symptom"]) for f in facts if f.kind == "job.outcome"), "unknown")

    def homes(failure: str) -> list[str]:
        return [name for name in ORDER if name in book.trees and failure in named_by(book.trees[name])]

    firsts = [cause.failure for cause in causes[:1]] or [found.failure for found in contexts]
    if any("slow" in homes(name) for name in firsts):  # what moves is slow, however long it has been silent
        return "slow"
    at = homes(firsts[0]) if causes else []
    return seen if seen in at or not at else at[0]


def walk(tree: Tree, facts: Sequence[Fact], evidence: Evidence, needs: Needs) -> list[Step]:
    """The tree's questions in order, each with its answer; an unknown goes on as a no."""
    steps, at = [], tree.start
    while at in tree.node:
        node = tree.node[at]
        found = hits(node.fact, facts) if node.fact else []
        answer = ask(node.fact, None, found, evidence, needs) if node.fact else None
        where = found[0].events[0].where if found and found[0].events else ""
        steps.append(
            Step(ask=node.ask, answer={True: "yes", False: "no", None: "unknown"}[answer], where=where)
        )
        at = node.yes if answer else node.no
    return steps


def collect(
    findings: Sequence[Finding], evidence: Evidence, book: Playbook, is_open: bool = False
) -> list[Collect]:
    """The sources that would settle what is unknown, each with the command that fetches it.

    First what settles most, then most of the rest. `is_open`: nothing was found at all. Then also
    the stacks of ranks that gave none.
    """
    wanted: dict[str, set[int]] = {"stack_dump": set()} if is_open and gaps(evidence) else {}
    for finding in findings:
        for source in finding.missing:
            if source in book.sources:
                wanted.setdefault(source, set()).update(finding.ranks)
    for source, coverage in evidence.coverage.items():
        lacking = {*coverage.missing, *coverage.refused, *coverage.stale}
        if lacking and source in wanted:
            wanted[source] |= lacking
    return [
        Collect(
            source=source,
            ranks=sorted(wanted[source]),
            command=book.sources[source].collect,
        )
        for source in in_order([set(finding.missing) & set(wanted) for finding in findings], list(wanted))
    ]


def in_order(asked: Sequence[set[str]], sources: Sequence[str]) -> list[str]:
    """Sources, each time the one that settles most of what none before it does; alike ones by name.

    >>> in_order([{"a", "b"}, {"b"}, {"c"}], ["a", "b", "c"])
    ['b', 'c', 'a']
    """
    ordered: list[str] = []
    left, rest = [one for one in asked if one], sorted(sources)
    while rest:
        best = max(rest, key=lambda source: sum(source in one for one in left))
        ordered.append(best)
        rest.remove(best)
        left = [one for one in left if best not in one] or [one for one in asked if one & set(rest)]
    return ordered


def gaps(evidence: Evidence) -> bool:
    """Whether some ranks showed where they stand, or refused to, and others did not."""
    seen = evidence.coverage.get("stack_dump")
    return seen is not None and bool(seen.missing or seen.refused or seen.stale)


def describe(facts: Sequence[Fact], evidence: Evidence) -> Run:
    data = next((f.data for f in facts if f.kind == "job.outcome"), {})
    silent, code = data.get("silent_s"), data.get("exit_code")
    return Run(
        num_ranks=evidence.num_ranks,
        nodes=sorted(set(evidence.nodes.values())),
        phase=str(data.get("phase") or "unknown"),
        silent_s=float(silent) if isinstance(silent, int | float) else None,
        exit_code=code if isinstance(code, int) else None,
    )


def waits(facts: Sequence[Fact]) -> list[Wait]:
    def ranks(fact: Fact, key: str) -> list[int]:
        value = fact.data.get(key)
        return [int(rank) for rank in value if rank is not None] if isinstance(value, list) else []

    return [
        Wait(
            group=str(f.data.get("group", "")),
            op=str(f.data.get("op", "")),
            seq=seq if isinstance(seq := f.data.get("seq"), int) else None,
            waiting=ranks(f, "waiting"),
            awaited=ranks(f, "awaited"),
            behind=ranks(f, "behind"),
            where=f.events[0].where if f.events else "",
        )
        for f in facts
        if f.kind == "collective.waited"
    ]


def stacks(causes: Sequence[Cause], waited: Sequence[Wait], evidence: Evidence) -> list[Stack]:
    """Who stands where; culprits, else those that others wait for, are the odd ones."""
    culprits = {rank for cause in causes for rank in cause.ranks}
    culprits = culprits or {rank for wait in waited for rank in (*wait.awaited, *wait.behind)}
    merged = [msgspec.convert(found, Stack, from_attributes=True) for found in merge(evidence, culprits)]
    told = {e.rank: pid for e in evidence.of("rank.found") if isinstance(pid := e.data.get("pid"), int)}
    return [
        msgspec.structs.replace(one, pids=[told[rank] for rank in one.ranks])
        if told.keys() >= {*one.ranks}
        else one
        for one in merged
    ]


def contexts(findings: Sequence[Finding], evidence: Evidence, book: Playbook) -> list[Finding]:
    """What is true and causes nothing: a finer one stands beside its parent, no cause accounts for either."""
    found = [f for f in findings if f.status is Status.PRESENT and book.failures[f.failure].role == "context"]
    others = [f for f in findings if book.failures[f.failure].role != "context"]
    return [
        one
        for one in found
        if one.failure in {f.failure for f in unexplained([*others, one], book, evidence)}
    ]


def decide(
    bundle: str,
    findings: Sequence[Finding],
    facts: Sequence[Fact],
    evidence: Evidence,
    book: Playbook,
    needs: Needs,
) -> Verdict:
    """The verdict: causes are the present root findings that nothing else accounts for."""
    role = {name: failure.role for name, failure in book.failures.items()}
    left = [present(f, findings, facts, book) for f in unexplained(findings, book, evidence)]
    shown = [present(f, findings, facts, book) for f in findings if f.status is Status.PRESENT]
    causes = [cause for cause in left if cause.role == "root"]
    around = contexts(findings, evidence, book)
    seen = symptom(causes, around, facts, book)
    tree = book.trees.get(seen)
    blind = stronger(causes, book) if causes else suspects(seen, book)
    unknown = [
        f
        for f in findings
        if f.status is Status.UNKNOWN and role[f.failure] == "root" and (f.facts or f.failure in blind)
    ]
    waited = waits(facts)
    return Verdict(
        bundle=bundle,
        symptom=seen,
        run=describe(facts, evidence),
        causes=causes,
        aftermath=[cause for cause in shown if cause.role == "aftermath"],
        context=[present(f, findings, facts, book) for f in around],
        waits=waited,
        stacks=stacks(causes, waited, evidence),
        unknown=[Unknown(failure=f.failure, ranks=f.ranks, missing=f.missing) for f in unknown],
        coverage=evidence.coverage,
        steps=walk(tree, facts, evidence, needs) if tree else [],
        collect_next=[]
        if causes and all(c.grade == "proven" for c in causes)
        else collect(unknown, evidence, book, not causes and seen in {"hang", "unknown"}),
    )

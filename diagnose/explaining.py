"""Why a failure was or was not concluded: its clauses one by one, each with what was seen. Pure."""

from collections.abc import Sequence

from diagnose.conclude import cite
from diagnose.judge import Needs, about, ask, effects, hits, units, wanted
from diagnose.model import Evidence, Fact, Finding, Status
from diagnose.playbook import Clause, Playbook
from diagnose.verdict import Answer, Explained, Verdict

NUM_NEAR = 5  # facts of the clause's kind that do not pass its tests
WORD = {True: "yes", False: "no", None: "unknown"}


def explain(
    finding: Finding,
    verdict: Verdict,
    facts: Sequence[Fact],
    evidence: Evidence,
    book: Playbook,
    needs: Needs,
) -> Explained:
    """One finding, clause by clause, and what became of it in the verdict."""
    failure = book.failures[finding.failure]
    asked = units(failure, [hits(clause, facts) for clause in failure.when], evidence)
    groups = {"when": failure.when, "unless": failure.unless, "confirm": failure.confirm}
    concluded, by = outcome(finding, verdict, book)
    return Explained(
        failure=finding.failure,
        title=failure.title,
        concluded=concluded,
        by=by,
        ranks=finding.ranks,
        grade=finding.grade,
        clauses=[
            answer
            for part, clauses in groups.items()
            for clause in clauses
            for answer in answers(part, clause, asked, facts, evidence, needs)
        ],
    )


def outcome(finding: Finding, verdict: Verdict, book: Playbook) -> tuple[str, list[str]]:
    """What it is in the verdict, and which causes account for it where it is none itself."""
    if finding.status is not Status.PRESENT:
        return str(finding.status), []
    for part, found in (("cause", verdict.causes), ("context", verdict.context)):
        if any(cause.failure == finding.failure for cause in found):
            return part, []
    by = [cause.failure for cause in verdict.causes if finding.failure in effects(cause.failure, book)]
    return book.failures[finding.failure].role if not by else "explained", by


def answers(
    part: str,
    clause: Clause,
    asked: Sequence[int | str | None],
    facts: Sequence[Fact],
    evidence: Evidence,
    needs: Needs,
) -> list[Answer]:
    """The clause's answers, those of several ranks or nodes in one; without any unit, of the job."""
    found = hits(clause, facts)
    by_answer: dict[bool | None, list[int | str | None]] = {}
    for unit in asked or [None]:
        by_answer.setdefault(ask(clause, unit, found, evidence, needs), []).append(unit)
    near = [fact for fact in facts if fact.kind == clause.fact and fact not in found][:NUM_NEAR]
    told = []
    for answer, mine in by_answer.items():
        seen = [fact for fact in found if any(about(fact, unit, evidence) for unit in mine)]
        missing = {source for unit in mine for source in wanted(clause, unit, found, evidence, needs)}
        told.append(
            Answer(
                part=part,
                clause=str(clause),
                answer=WORD[answer],
                ranks=sorted(unit for unit in mine if isinstance(unit, int)),
                nodes=sorted(unit for unit in mine if isinstance(unit, str)),
                lines=cite(seen if answer is not False else []),
                near=cite(near if answer is not True else []),
                missing=sorted(missing) if answer is None else [],
            )
        )
    return told

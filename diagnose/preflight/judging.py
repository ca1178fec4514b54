"""Measurements against thresholds: an outcome, with its reason, for every check and every subject. Pure."""

from typing import NamedTuple

import msgspec

from diagnose.model import Scalar
from diagnose.preflight.book import Book, Check, Expected, Test, Threshold
from diagnose.preflight.measured import Made, Measured, Measurement
from diagnose.preflight.report import (
    OUTCOMES,
    Crossed,
    Report,
    Result,
    Subject,
    decide,
    summary,
)

OUTCOME: dict[str, str] = {"block": "fail", "warn": "warn", "info": "pass"}
ORDER = ("block", "warn", "info")


def judge(measured: Measured, book: Book) -> Report:
    """The report. A check that the playbook does not know is an error of its own, never left out."""
    found: dict[str, dict[str, Result]] = {}  # check -> node -> what it comes to
    for one in [*measured.checks, *(one for one in measured.unmade() if one.check in book.checks)]:
        found.setdefault(one.check, {})[one.on_node] = result(one, measured, book)
    checks = sorted(map(joined, found.values()), key=lambda check: check.id)
    outcome, code = decide(checks, measured.how == "ended")
    left = sorted(book.checks[name].id if name in book.checks else name for name in measured.left)
    return Report(outcome, code, summary(checks), checks, measured, left=left)


def result(made: Made, measured: Measured, book: Book) -> Result:
    """What one check comes to."""
    check = book.checks.get(made.check)
    if check is None:
        return Result("?", made.check, made.check, "?", "error", "the playbook has no thresholds for it")
    subjects = [subject(one, check, measured, book) for one in made.measurements]
    if made.on_node:
        subjects = [msgspec.structs.replace(one, subject=on(made.on_node, one.subject)) for one in subjects]
    untold = check.untold.get(measured.machine.kernel, "")
    if untold:
        outcome, reason = "skip", untold
    elif made.unanswered and check.unanswered:
        outcome, reason = OUTCOME[check.unanswered], made.error
    elif made.error:
        outcome, reason = "error", made.error
    elif not subjects:
        outcome, reason = "skip", made.skip or "nothing was measured"
    else:
        outcome = next(one for one in OUTCOMES if any(part.outcome == one for part in subjects))
        reason = reasons([part for part in subjects if part.outcome == outcome])
    return Result(
        check.id,
        made.check,
        check.title,
        check.group,
        outcome,
        reason,
        subjects,
        is_demanded(made, measured) and not (made.chosen or untold or check.optional),
        made.made_at,
        made.needs,
        made.cost,
        made.took_s,
        check.why,
        check.remedy,
        check.lookalikes,
        check.basis,
    )


def joined(by_node: dict[str, Result]) -> Result:
    """What a check comes to on all nodes: on one alone, just that."""
    if [*by_node] == [""]:
        return by_node[""]
    found: list[Subject] = []
    for node, one in by_node.items():
        found += one.subjects or [Subject(node, one.outcome, one.reason)]
    first = next(iter(by_node.values()))
    worst = next(one for one in OUTCOMES if any(result.outcome == one for result in by_node.values()))
    whose = [Subject(node, one.outcome, one.reason) for node, one in by_node.items() if one.outcome == worst]
    return msgspec.structs.replace(
        first,
        outcome=worst,
        reason=reasons(whose),
        subjects=found,
        is_demanded=any(one.is_demanded for one in by_node.values()),
        took_s=max(one.took_s for one in by_node.values()),
    )


def reasons(parts: list[Subject]) -> str:
    """The reason that several subjects share, else those of all."""
    found: dict[str, list[str]] = {}
    for part in parts:
        found.setdefault(part.reason, []).append(part.subject)
    if len(found) == 1:
        return next(iter(found))
    return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in found.items())


def is_demanded(made: Made, measured: Measured) -> bool:
    """Whether what was asked for needs this answer: GPUs were asked for, or several nodes."""
    target = measured.target
    demanded = {
        "gpu": target.num_gpus > 0,
        "gpus": target.num_gpus > 1,
        "nodes": target.num_nodes > 1,
    }
    return any(demanded.get(need, False) for need in made.needs)


def subject(one: Measurement, check: Check, measured: Measured, book: Book) -> Subject:
    """One subject's outcome: crossed thresholds first, then what is not known, then pass."""
    if skip := check.untold.get(measured.machine.kernel) or one.skip:
        return Subject(one.subject, "skip", skip, one.where, one.values)
    found, unknown = list[Crossed](), list[str]()
    for threshold in check.threshold:
        answers = [answer(key, test, one, measured, book) for key, test in threshold.when.items()]
        if all(a.holds for a in answers):
            told = {key: one.values[key] for key in check.tell if one.values.get(key) not in (None, "")}
            found.append(crossed(threshold, check, answers, told))
        elif all(a.holds is not False for a in answers) and not threshold.if_told:
            unknown += [a.missing for a in answers if a.holds is None and threshold.severity != "info"]
    found.sort(key=lambda one: ORDER.index(one.severity))
    outcome = OUTCOME[found[0].severity] if found else "pass"
    reason = found[0].text if found else check.title
    if outcome == "pass" and unknown:
        outcome, reason = "skip", f"not known: {', '.join(dict.fromkeys(unknown))}"
    return Subject(one.subject, outcome, reason, one.where, one.values, found)


def on(node: str, subject: str) -> str:
    """
    >>> on("node-1", "gpu 3"), on("node-1", "host")
    ('node-1 gpu 3', 'node-1')
    """
    return node if subject == "host" else f"{node} {subject}"


class Answer(NamedTuple):
    """One test of a threshold on one measurement; `holds` is None where it cannot be told."""

    key: str
    test: Test
    value: Scalar
    expected: Expected | None
    holds: bool | None

    @property
    def missing(self) -> str:
        return self.key if self.value is None else f"what {self.key} is to be expected here"

    @property
    def wanted(self) -> str:
        return f"{self.test}" + (f" {self.expected.value:g}" if self.expected else "")


def answer(key: str, test: Test, one: Measurement, measured: Measured, book: Book) -> Answer:
    value, expected = one.values.get(key), None
    if test.below_expected is not None:
        model = one.values.get("gpu_model") or measured.target.gpu
        count = one.values.get("num_gpus") or measured.target.num_gpus or measured.machine.num_gpus
        expected = book.expected(key, str(model), int(count)) if model else None
    return Answer(key, test, value, expected, test.holds(value, expected.value if expected else None))


def crossed(threshold: Threshold, check: Check, answers: list[Answer], told: dict[str, Scalar]) -> Crossed:
    expected = next((a.expected for a in answers if a.expected), None)
    return Crossed(
        threshold.severity,
        threshold.text,
        {a.key: a.value for a in answers} | told,
        {a.key: a.wanted for a in answers},
        threshold.source or (expected.source if expected else check.source),
        threshold.date or (expected.date if expected else check.date),
    )

"""A pre-flight report as a page: what failed, what is warned of, then what was not checked, by reason."""

from collections.abc import Iterator, Mapping

from diagnose.model import Scalar, size
from diagnose.preflight.report import Crossed, Difference, Report, Result, Subject
from diagnose.render import links, timeline
from diagnose.render.rows import Page, Row, Section, count, safe

HEAD = {"fail": "DO NOT START", "warn": "WARNINGS", "unknown": "COULD NOT TELL", "pass": "PASSED"}
NUM_SUBJECTS = 4  # of a check, on the first screen
NUM_REASONS = 6


def page(report: Report, full: bool = False) -> Page:
    """Lay a report out. `full` leaves nothing away."""
    found = {outcome: [c for c in report.checks if c.outcome == outcome] for outcome in report.summary}
    measured = report.measured
    asked = f"{measured.target.gpu or 'GPU'}:{measured.target.num_gpus}" if measured.target.num_gpus else ""
    state = [said(report), "interrupted" if measured.how == "interrupted" else ""]
    state += [f"{measured.took_s:.1f} s" if measured.took_s else ""]
    sections = [
        *(Section("FAIL", list(finding_rows(check, full))) for check in found["fail"]),
        *(Section("WARN", list(finding_rows(check, full))) for check in found["warn"]),
        Section("TIMES", list(time_rows(report, full))),
        Section("ERROR", [row for check in found["error"] for row in error_rows(check)]),
        Section("SKIPPED", list(open_rows(report, full))),
        *links.sections(report, full),
        Section("WHERE", list(where_rows(measured.platform))),
        Section("PASSED", [row for check in found["pass"] for row in pass_rows(check)] if full else []),
        Section("CHANGED", list(changed_rows(report))),
        Section(
            "LEFT", [Row(f"for a deeper level: {', '.join(report.left)}")] if report.left and full else []
        ),
    ]
    return Page(
        name=safe(measured.node or "this host"),
        size=f"{asked} asked for" if asked else "",
        symptom=HEAD[report.outcome],
        state=", ".join(part for part in state if part),
        sections=[section for section in sections if section.rows],
        what="preflight",
    )


def said(report: Report) -> str:
    """`31 passed, 9 not checked`."""
    num = report.summary
    parts = [f"{num['fail']} failed"] if num["fail"] else []
    parts += [count(num["warn"], "warning")] if num["warn"] else []
    parts += [f"{num['pass']} passed"]
    unmade = num["skip"] + num["error"]
    return ", ".join([*parts, *([f"{unmade} not checked"] if unmade else [])])


def finding_rows(check: Result, full: bool) -> Iterator[Row]:
    yield Row(f"{check.id}  not so: {safe(check.title)}", role="head")
    bad = [part for part in check.subjects if part.outcome == check.outcome]
    for part in bad[: None if full else NUM_SUBJECTS]:
        yield Row(crossed_text(part), safe(part.where), "place")
    if not bad:
        yield Row(safe(check.reason))
    if not full and len(bad) > NUM_SUBJECTS:
        yield Row(f"and {count(len(bad) - NUM_SUBJECTS, 'other')}: -v")
    for part in check.subjects if full else ():
        if part not in bad:
            yield Row(f"{safe(part.subject)}: {part.outcome}: {safe(part.reason)}", safe(part.where), "place")
    if full:
        yield Row(f"why: {safe(check.why)}")
    yield Row(f"do: {safe(check.remedy)}")
    for text in check.lookalikes if full else ():
        yield Row(f"unlike: {safe(text)}")
    for one in dict.fromkeys((c.source, c.date) for part in bad for c in part.crossed) if full else ():
        yield Row(f"threshold: {safe(one[0])}, {safe(one[1])}; {safe(check.basis)}")


def crossed_text(part: Subject) -> str:
    """`/dev/shm: no more than ... (size_bytes 64 MiB)`."""
    worst = [one for one in part.crossed if one.severity == part.crossed[0].severity]
    told = "; ".join(f"{safe(one.text)} ({read(one)})" for one in worst)
    return f"{safe(part.subject)}: {told}"


def read(one: Crossed) -> str:
    return ", ".join(f"{key} {shown(key, value)}" for key, value in one.values.items())


def shown(key: str, value: Scalar) -> str:
    """A value with its unit.

    >>> shown("free_bytes", 1 << 30), shown("used_share", 0.25), shown("took_s", 1.5), shown("name", "")
    ('1.0 GiB', '25 %', '1.5 s', "''")
    >>> shown("used_share", 9.7e-7), shown("used_share", 0.03456)
    ('0.0001 %', '3.46 %')
    """
    if isinstance(value, str):
        return safe(value) or "''"
    if value is None or isinstance(value, bool):
        return {True: "yes", False: "no", None: "not known"}[value]
    if key.endswith("_bytes"):
        return size(value)
    if key.endswith("_share"):
        return f"{float(f'{value * 100:.3g}'):.4f}".rstrip("0").rstrip(".") + " %"
    text = str(value) if isinstance(value, int) else f"{value:.4g}"
    return f"{text} s" if key.endswith("_s") else text


def time_rows(report: Report, full: bool) -> Iterator[Row]:
    """Who comes first, where a threshold of times is crossed."""
    for check in report.checks:
        for part in check.subjects:
            if part.crossed or full:
                yield from timeline.rows(f"{check.id}  {safe(part.subject)}", part.values)


def error_rows(check: Result) -> Iterator[Row]:
    yield Row(f"{check.id}  {safe(check.title)}: could not be checked: {safe(check.reason)}")


def open_rows(report: Report, full: bool) -> Iterator[Row]:
    """What was not checked, by reason; what the target demands comes first."""
    reasons: dict[tuple[bool, str], list[str]] = {}
    for check in report.checks:
        if check.outcome == "skip":
            reasons.setdefault((not check.is_demanded, safe(check.reason)), []).append(check.id)
    for num, ((is_free, reason), ids) in enumerate(sorted(reasons.items())):
        if num >= NUM_REASONS and not full:
            yield Row(f"and {count(len(reasons) - num, 'other reason')}: -v")
            return
        yield Row(f"{'' if is_free else 'needed: '}{reason}: {', '.join(ids)}")
    for check in report.checks:
        for part in check.subjects if check.outcome != "skip" else ():
            if part.outcome == "skip" and full:
                yield Row(f"{safe(part.subject)}: {safe(part.reason)}: {check.id}", safe(part.where), "place")


def where_rows(platform: Mapping[str, str]) -> Iterator[Row]:
    """`modal: container ta-1, region us-east, cloud aws`."""
    told = ", ".join(f"{safe(name)} {safe(text)}" for name, text in platform.items() if name != "name")
    if told:
        yield Row(f"{safe(platform.get('name', 'platform'))}: {told}")


def pass_rows(check: Result) -> Iterator[Row]:
    yield Row(f"{check.id}  {safe(check.reason)}")
    for part in check.subjects:
        values = ", ".join(f"{key} {shown(key, value)}" for key, value in part.values.items())
        yield Row(f"      {safe(part.subject)}: {values}", safe(part.where), "place")


def changed_rows(report: Report) -> Iterator[Row]:
    if report.compared_with and not report.differences:
        yield Row(f"nothing since {safe(report.compared_with)}")
    for one in report.differences:
        yield Row(changed(one))


def changed(one: Difference) -> str:
    before, after = shown(one.what, one.before), shown(one.what, one.after)
    return f"{one.id}  {safe(one.subject)}: {safe(one.what)} was {before}, is {after}"

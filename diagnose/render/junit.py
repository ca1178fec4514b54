"""A pre-flight report as JUnit XML: what CI systems show; a warning is a passed test with words."""

from xml.etree import ElementTree

from diagnose.preflight.report import Report, Result
from diagnose.render.checks import crossed_text
from diagnose.render.rows import safe


def render(report: Report) -> str:
    """One test suite, one test case for each check; ends in a newline."""
    num = report.summary
    suite = ElementTree.Element(
        "testsuite",
        name="diagnose preflight",
        hostname=safe(report.measured.node),
        tests=str(len(report.checks)),
        failures=str(num["fail"]),
        errors=str(num["error"]),
        skipped=str(num["skip"]),
        time=f"{report.measured.took_s:.3f}",
    )
    for check in report.checks:
        case(suite, check)
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def case(suite: ElementTree.Element, check: Result) -> None:
    found = ElementTree.SubElement(
        suite,
        "testcase",
        classname=f"preflight.{check.group}",
        name=f"{check.id} {safe(check.title)}",
        time=f"{check.took_s:.3f}",
    )
    bad = [crossed_text(part) for part in check.subjects if part.outcome == check.outcome and part.crossed]
    words = "\n".join([*bad, f"do: {safe(check.remedy)}"])
    tag = {"fail": "failure", "error": "error", "skip": "skipped"}.get(check.outcome)
    if tag:
        ElementTree.SubElement(found, tag, message=safe(check.reason)).text = words if bad else None
    elif check.outcome == "warn":
        ElementTree.SubElement(found, "system-out").text = f"warning: {words}"

"""Where reports lie, and what has changed since an earlier one."""

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from diagnose import runs
from diagnose.model import Scalar
from diagnose.preflight import measured
from diagnose.preflight.book import Book
from diagnose.preflight.judging import judge
from diagnose.preflight.report import Difference, Report, encode
from probes.files import atomic_write

NAME = "preflight.json"
LINES = "preflight.lines"  # what the probe has said so far: all there is where nobody lives to judge it
BASELINE = "preflight-baseline.json"


def save(report: Report, top: Path, run: Path | None = None) -> Path:
    """Write the report into a run directory, or into one of its own under `top`. Raises OSError."""
    folder = run or runs.create(top, "preflight", time.time())
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write(folder / NAME, encode(msgspec.structs.replace(report, run=folder.name)))
    (folder / LINES).unlink(missing_ok=True)
    return folder


def save_baseline(report: Report, top: Path) -> Path:
    """Keep the report as the good one. Raises OSError; ValueError where it is not good."""
    if report.exit_code == 1 or report.measured.how != "ended":
        raise ValueError("only a whole pre-flight in which nothing failed becomes the baseline")
    top.mkdir(parents=True, exist_ok=True)
    atomic_write(top / BASELINE, encode(report))
    return top / BASELINE


def earlier(given: str, top: Path, book: Book) -> tuple[str, Report]:
    """The report that is meant: `baseline`, `last` (the newest, not cut short, in which nothing failed), or a
    run's.

    Raises runs.NoRun, OSError, ValueError.
    """
    if given == "baseline":
        return given, judge(measured.read(top / BASELINE), book)
    if given != "last":
        path = runs.resolve(given, top)
        return path.name, judge(measured.read(path), book)
    found = sorted(top.glob(f"*/{NAME}"), key=written, reverse=True)
    for path in found:
        try:
            report = judge(measured.read(path), book)
        except (OSError, ValueError):  # damaged, or gone meanwhile: there may be an earlier one
            continue
        if report.exit_code != 1 and report.measured.how == "ended":
            return path.parent.name, report
    raise runs.NoRun(f"no earlier pre-flight in {top} in which nothing failed")


def written(path: Path) -> float:
    """When (unix s); 0.0 where it is gone by now.

    >>> written(Path("/no/such"))
    0.0
    """
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def differences(now: Report, then: Report, share: float) -> Iterator[Difference]:
    """Outcomes that changed; values that differ: numbers by more than `share` of the larger one."""
    before = {check.name: check for check in then.checks}
    for check in now.checks:
        old = before.get(check.name)
        if old is None:
            continue
        if old.outcome != check.outcome:
            yield Difference(check.id, check.title, "outcome", old.outcome, check.outcome)
        parts = {part.subject: part for part in old.subjects}
        for part in check.subjects:
            past = parts[part.subject].values if part.subject in parts else {}
            for key in part.values.keys() & past.keys():
                if differ(past[key], part.values[key], share):
                    yield Difference(check.id, part.subject, key, past[key], part.values[key])


def differ(before: Scalar, after: Scalar, share: float) -> bool:
    """
    >>> differ(100, 110, 0.2), differ(100, 50, 0.2), differ("a", "b", 0.2), differ(0, 0.0, 0.2)
    (False, True, True, False)
    """
    numbers = [one for one in (before, after) if isinstance(one, int | float) and not isinstance(one, bool)]
    if len(numbers) < 2:
        return before != after
    return abs(numbers[0] - numbers[1]) > share * max(map(abs, numbers))

"""What a job's end is called where only a platform tells of it."""

import pytest

from diagnose import coverage
from diagnose.facts import outcome
from diagnose.model import Event


@pytest.mark.parametrize(
    ("kind", "data", "symptom"),
    [
        ("container.exited", {"exit_code": 137}, "crash"),
        ("container.exited", {"exit_code": 0}, "unknown"),
        ("platform.call_ended", {"by": "modal"}, "crash"),
    ],
)
def test_a_platforms_word_tells_that_a_job_failed(kind: str, data: dict[str, object], symptom: str) -> None:
    event = Event(kind, "platform_log", "inspect.json:1", data=data)
    facts = outcome.derive(coverage.gather([event]))
    assert [fact.data["symptom"] for fact in facts] == [symptom]

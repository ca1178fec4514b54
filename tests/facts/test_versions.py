"""Different NCCLs in one job count where NCCL failed."""

import pytest

from diagnose import coverage
from diagnose.facts import versions
from diagnose.model import Event


def say(kind: str, file: str, **data: object) -> Event:
    return Event(kind, "rank_log", f"{file}:1", data=data)


def found(*events: Event) -> list[object]:
    return [fact.data["what"] for fact in versions.derive(coverage.gather(events))]


FAILED = say("nccl.sizes_differed", "node0.log", got=76, room=72)


@pytest.mark.parametrize(
    ("first", "second", "what"),
    [
        ("2.18.5+cuda12.1", "2.21.5+cuda12.4", ["collective"]),
        ("2.21.5+cuda12.1", "2.21.5+cuda12.4", []),
    ],
)
def test_versions_differ_without_the_cuda_they_were_built_for(
    first: str, second: str, what: list[str]
) -> None:
    told = [say("nccl.version_told", f"node{n}.log", version=v) for n, v in enumerate((first, second))]
    assert found(*told, FAILED) == what
    assert found(*told) == [], "a job that runs may hold two of them in different processes"

"""The drills as data, and the command around them; no ranks are started here."""

import ast
import json

import pytest
from click.testing import CliRunner

from diagnose import drilling
from diagnose.cli.drill import command
from diagnose.playbook import load
from diagnose.scoring import Answer, answer, differences

DRILLS = drilling.drills()
RIGHT = Answer(failure="compile_skew", ranks=[3], symptom="slow", ends="ok")


def verdict(symptom: str, *causes: tuple[str, list[int]]) -> bytes:
    told = [{"failure": failure, "ranks": ranks, "grade": "likely"} for failure, ranks in causes]
    return json.dumps({"symptom": symptom, "causes": told, "waits": []}).encode()


@pytest.mark.parametrize("name", DRILLS)
def test_a_drill_says_what_it_injects_and_expects_a_failure_of_the_playbook(name: str) -> None:
    drill = DRILLS[name]
    assert drill.story.endswith(".") and drill.stall_after_s < drill.timeout_s
    assert drill.expect.failure is None or drill.expect.failure in load().failures
    assert all(rank < drill.num_ranks for rank in drill.expect.ranks)
    assert (drill.expect.failure is None) == name.startswith("healthy_")


@pytest.mark.parametrize("name", DRILLS)
def test_a_running_drill_prints_and_names_nothing_that_tells_its_fault(name: str) -> None:
    """What the analyser can see of a program: its strings and its functions' names."""
    tree = ast.parse((drilling.HERE / f"{name}.py").read_text(encoding="utf-8"))
    body = [
        node for node in tree.body[1:] if not (isinstance(node, ast.Assign) and "DRILL" in ast.unparse(node))
    ]
    for word in (name, DRILLS[name].expect.failure or "healthy", "inject", "drill"):
        assert word not in "\n".join(map(ast.unparse, body)).lower()


def test_the_helpers_beside_the_drills_are_no_drills() -> None:
    assert not {"training", "blocks"} & set(DRILLS)


def test_without_a_name_the_drills_are_listed() -> None:
    done = CliRunner().invoke(command, [])
    assert done.exit_code == 0
    assert all(name in done.output for name in DRILLS)


def test_an_unknown_name_is_wrong_usage() -> None:
    assert CliRunner().invoke(command, ["no_such_drill"]).exit_code == 2


def test_what_is_missing_skips_a_drill_with_its_reason(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    done = CliRunner().invoke(command, ["compile_skew", "--format", "json"])
    [row] = json.loads(done.output)["drills"]
    assert done.exit_code == 3
    assert row["skipped"] and not row["right"]
    assert row["reason"] in {"g++ is not installed", "torch is not installed"}
    assert row["expected"]["failure"] == "compile_skew" and row["got"] is None


def test_the_right_answer_has_no_differences() -> None:
    assert not differences(RIGHT, answer(verdict("slow", ("compile_skew", [3])), "ok"))


def test_the_right_failure_on_other_ranks_is_wrong() -> None:
    assert differences(RIGHT, answer(verdict("slow", ("compile_skew", [2, 3])), "ok"))


def test_a_second_cause_is_wrong() -> None:
    got = answer(verdict("slow", ("compile_skew", [3]), ("straggler", [1])), "ok")
    assert differences(RIGHT, got) == ["also straggler on [1]"]


def test_any_cause_of_a_healthy_job_is_wrong() -> None:
    healthy = Answer(failure=None, ranks=[], symptom="none", ends="ok")
    assert not differences(healthy, answer(verdict("none"), "ok"))
    assert differences(healthy, answer(verdict("slow", ("straggler", [1])), "ok"))


def test_a_job_that_had_to_be_stopped_is_wrong() -> None:
    assert differences(RIGHT, answer(verdict("slow", ("compile_skew", [3])), "lost")) == [
        "ended lost, not ok"
    ]

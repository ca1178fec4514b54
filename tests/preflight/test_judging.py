"""Outcomes and exit codes: skip is never pass, and silence is not health."""

import msgspec
import pytest

from diagnose.playbook import PlaybookError, read
from diagnose.preflight.book import Baseline, Book, Check, Expected, Settings, Test, Threshold, choose
from diagnose.preflight.judging import judge
from diagnose.preflight.measured import Machine, Made, Measured, Measurement, Target, of_lines

LOW = Threshold("block", {"free": Test(below=10)}, "hardly any")
FEW = Threshold("warn", {"free": Test(below=50)}, "few")
NOTE = Threshold("info", {"free": Test(above=90)}, "many")


def check(*thresholds, **other):
    given = {"id": "X1", "title": "is fine", "group": "limits", "why": "w", "remedy": "r", "lookalikes": []}
    given |= {"basis": "own", "source": "s", "date": "2026"}
    return Check(**given, threshold=list(thresholds), **other)


def a_book(one=None, **baselines):
    return Book({"x": one or check(LOW, FEW, NOTE)}, baselines, Settings({"fast": 1.0}, 0.2))


def made(*values, **other):
    parts = [Measurement(f"gpu {num}", "w", v) if isinstance(v, dict) else v for num, v in enumerate(values)]
    return Made("x", 0.1, parts, **other)


def judged(one, book=None, **other):
    return judge(Measured(how="ended", checks=[one], wanted=["x"], **other), book or a_book())


SKIP = Measurement("gpu 9", "w", skip="NVML_ERROR_NOT_SUPPORTED")


@pytest.mark.parametrize(
    ("one", "outcome", "code"),
    [
        (made({"free": 60}), "pass", 0),
        (made({"free": 95}), "pass", 0),
        (made({"free": 20}), "warn", 4),
        (made({"free": 1}), "fail", 1),
        (made({"free": 60}, {"free": 20}, {"free": 1}), "fail", 1),
        (made({"free": None}), "skip", 0),
        (made({}), "skip", 0),
        (made({"free": 60}, SKIP), "skip", 0),
        (made({"free": 20}, SKIP), "warn", 4),
        (made({"free": "text"}), "pass", 0),
        (made(), "skip", 0),
        (made(error="OSError: x"), "error", 0),
        (made(skip="no GPU here"), "skip", 0),
    ],
)
def test_the_worst_subject_decides_and_skip_is_never_pass(one, outcome, code):
    report = judged(one)
    assert (report.checks[0].outcome, report.exit_code) == (outcome, code)
    assert report.checks[0].reason and report.summary[outcome] == 1


@pytest.mark.parametrize(
    ("one", "code"),
    [
        (made(skip="no GPU here", needs=["gpu"]), 3),
        (made({"free": 60}, SKIP, needs=["gpu"]), 3),
        (made({"free": 20}, SKIP, needs=["gpu"]), 3),
        (made({"free": 1}, SKIP, needs=["gpu"]), 1),
        (made(error="x", needs=["gpus"]), 3),
        (made(skip="left out", needs=["gpu"], chosen=True), 0),
        (made(skip="no", needs=["rdma"]), 0),
    ],
)
def test_what_was_asked_for_and_could_not_be_checked_is_told_by_the_exit_code(one, code):
    assert judged(one, target=Target(num_gpus=8)).exit_code == code
    assert judged(one).exit_code in {0, 1, 4}


def test_a_source_that_says_nothing_in_gvisor_is_skipped_whatever_it_said():
    book = a_book(check(LOW, untold={"gvisor": "a constant there"}))
    report = judged(
        made({"free": 99}, needs=["gpu"]), book, machine=Machine("gvisor"), target=Target(num_gpus=1)
    )
    assert (report.checks[0].outcome, report.checks[0].reason) == ("skip", "a constant there")
    assert report.exit_code == 0
    assert judged(made({"free": 99}), book, machine=Machine("linux")).checks[0].outcome == "pass"


def test_no_answer_by_the_deadline_is_a_finding_where_the_playbook_says_so():
    one = made(error="no answer within 10 s", unanswered=True)
    assert judged(one).checks[0].outcome == "error"
    report = judged(one, a_book(check(LOW, unanswered="block")))
    assert (report.checks[0].outcome, report.exit_code) == ("fail", 1)
    assert (
        judged(made(error="ImportError"), a_book(check(LOW, unanswered="block"))).checks[0].outcome == "error"
    )


def test_what_is_expected_of_a_gpu_comes_from_its_baseline_with_its_source():
    slow = Threshold("warn", {"gbps": Test(below_expected=0.9)}, "slow")
    expected = {"gbps": {"8": Expected(480.0, "ml-engineering", "2026-08")}}
    book = a_book(check(slow), h200=Baseline("H200", ["H200"], expected))
    of = {"gpu_model": "NVIDIA H200", "num_gpus": 8}
    [bad] = judged(made({"gbps": 300.0, **of}), book).checks
    assert bad.outcome == "warn"
    assert (bad.subjects[0].crossed[0].source, bad.subjects[0].crossed[0].date) == (
        "ml-engineering",
        "2026-08",
    )
    assert judged(made({"gbps": 470.0, **of}), book).checks[0].outcome == "pass"
    [other] = judged(made({"gbps": 300.0, "gpu_model": "NVIDIA L4", "num_gpus": 8}), book).checks
    assert (other.outcome, "expected" in other.reason) == ("skip", True)


def test_a_condition_that_does_not_hold_needs_no_other_value():
    both = Threshold("block", {"has_rdma": Test(is_=True), "free": Test(below=10)}, "x")
    assert judged(made({"has_rdma": False}), a_book(check(both))).checks[0].outcome == "pass"
    assert judged(made({"has_rdma": True}), a_book(check(both))).checks[0].outcome == "skip"
    told = msgspec.structs.replace(both, if_told=True)
    assert judged(made({"has_rdma": True}), a_book(check(told))).checks[0].outcome == "pass"


@pytest.mark.parametrize(
    ("how", "word"), [("interrupted", "interrupted"), ("lost", "ended"), ("ended", "nothing")]
)
def test_what_was_not_reached_is_told(how, word):
    report = judge(Measured(how=how, checks=[], wanted=["x"]), a_book())
    assert report.checks[0].outcome == "skip" and word in report.checks[0].reason
    assert (report.outcome, report.exit_code) == ("unknown", 0 if how == "ended" else 3)


def test_a_pre_flight_that_was_cut_short_did_not_pass():
    for how, outcome, code in (("interrupted", "unknown", 3), ("lost", "unknown", 3), ("ended", "pass", 0)):
        report = judge(Measured(how=how, checks=[made({"free": 60})], wanted=["x"]), a_book())
        assert (report.outcome, report.exit_code) == (outcome, code)
    failed = judge(Measured(how="interrupted", checks=[made({"free": 1})], wanted=["x"]), a_book())
    assert failed.exit_code == 1


def test_a_finding_tells_who_it_is_about():
    one = made({"free": 1, "who": "812 python3", "why": ""})
    [told] = judged(one, a_book(check(LOW, tell=["who", "why", "where"]))).checks[0].subjects[0].crossed
    assert told.values == {"free": 1, "who": "812 python3"}


def test_lines_that_cannot_be_read_leave_their_check_unmade():
    lines = [b'{"event":"check.made","check":"x","measurements":[{"subject":1}]}', b"\xff{", b"", b"[" * 9999]
    report = judge(of_lines(lines, ["x"]), a_book())
    assert report.checks[0].outcome == "skip"


def test_a_misspelt_key_is_refused(tmp_path):
    (tmp_path / "x.toml").write_text('id="D1"\ntitel="x"\n')
    with pytest.raises(PlaybookError, match=r"x\.toml: .*titel"):
        read(tmp_path / "x.toml", Check)


def test_checks_are_chosen_by_id_name_or_group():
    assert choose(["x1"], a_book()) == choose(["X"], a_book()) == choose(["limits"], a_book()) == {"x"}
    with pytest.raises(PlaybookError, match="limits"):
        choose(["nothing"], a_book())

"""Single lines that a person reads beside a verdict."""

import pytest

from diagnose import attaching, runs
from diagnose.story import told
from diagnose.verdict import Run, Verdict, Wait

OPTIONS = attaching.Options(may_signal=False, native=False, stall_after_s=120.0)


def silent(silent_s, waits):
    return Verdict(bundle="b", symptom="unknown", run=Run(num_ranks=3, silent_s=silent_s), waits=waits)


def wait(awaited):
    return Wait(group="", op="backward", seq=None, waiting=[0], awaited=awaited, behind=[], where="x")


def test_a_wait_that_is_younger_than_a_stall_is_said_to_be_so():
    [line] = attaching.early(silent(57.3, [wait([2]), wait([2])]), OPTIONS)
    assert line.startswith("silent for 00:57 only, less than --stall-after 120 s, and rank 2 may yet come:")
    [line] = attaching.early(silent(57.3, [wait([])]), OPTIONS)
    assert "may yet come" not in line


@pytest.mark.parametrize(("silent_s", "waits"), [(130.0, [wait([2])]), (None, [wait([2])]), (57.0, [])])
def test_nothing_is_said_of_time_where_more_of_it_would_not_help(silent_s, waits):
    assert list(attaching.early(silent(silent_s, waits), OPTIONS)) == []


def raised(message):
    return told({"event": "exception.raised", "time": 1.0, "rank": 0, "type": "E", "message": message})


def test_an_exception_is_told_in_its_own_words_and_a_cut_is_marked():
    where = "[/__w/pytorch/third_party/gloo/gloo/transport/tcp/unbound_buffer.cc:81] "
    assert raised(f"{where}Timed out waiting") == "rank 0: raised E: Timed out waiting"
    assert raised("first\n\nsecond") == "rank 0: raised E: first"
    assert raised("x " * 60).endswith("x x ...")


def test_a_signal_ends_a_rank():
    line = {"event": "rank.died", "time": 1.0, "rank": 1, "signal": 15}
    assert told(line) == "rank 1: ended by signal 15"


@pytest.mark.parametrize(("name", "stem"), [("Übung 1", "Ubung-1-"), ("训练", "run-"), ("../a b", "a-b-")])
def test_a_run_is_called_by_its_name_as_far_as_plain_letters_go(tmp_path, name, stem):
    assert runs.create(tmp_path, name, 0.0).name.startswith(stem + "1970")

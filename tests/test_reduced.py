"""A hung job and its reduced preset: the pair answers only what it can, in the verdict and in the record."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from diagnose import manifest, playbook, reader, record, reducing, reduction
from diagnose.cli import _reduced
from diagnose.cli._run import Ended, Wish
from diagnose.cli.run import command
from diagnose.surfaces.local import NotStarted
from diagnose.surfaces.modal.body import Attempt
from diagnose.verdict import Run, Verdict

HANG = Path(__file__).parent / "cases" / "collective_skipped" / "bundle"
BOOK = playbook.load()
WISH = Wish(
    *("hang", None, None, "stop", "observe", None, "command", None, False, "", "torchrun small.py --n 2"),
    *(None, "1", False),
)


@pytest.fixture(scope="module")
def hung():
    """The verdict on a job that hung on real ranks, as it was captured."""
    verdict = reader.judge(HANG, str(HANG), BOOK)
    assert verdict.symptom == "hang" and verdict.causes
    return verdict


@pytest.fixture
def full(tmp_path, hung):
    run = tmp_path / "hang-1"
    shutil.copytree(HANG, run)
    manifest.path(run).unlink(missing_ok=True)
    manifest.begin(run, id="hang-1", name="hang")
    return Ended(run, 1, hung, was_asked=False)


def reduced(symptom, code, num_ranks, **more):
    """A watch that finds this of the preset."""
    seen = []

    def watch(words, wish):
        seen.append((words, wish))
        verdict = Verdict(bundle="b", symptom=symptom, run=Run(num_ranks=num_ranks))
        return Ended(wish.run_dir, code, verdict, more.get("was_asked", False))

    return watch, seen


def contexts(verdict):
    return {one.failure for one in verdict.context} & {"hangs_only_in_full", "hangs_in_reduced_too"}


@pytest.mark.parametrize(
    ("symptom", "code", "answer", "context"),
    [
        ("none", 0, "only_full", "hangs_only_in_full"),
        ("hang", 1, "both", "hangs_in_reduced_too"),
        ("crash", 1, "unclear", None),
    ],
)
def test_the_pair_answers_in_verdict_and_record(full, symptom, code, answer, context):
    watch, seen = reduced(symptom, code, full.verdict.run.num_ranks)
    done = _reduced.answered(full, WISH, watch)
    (words, wish) = seen[0]
    assert words == ["torchrun", "small.py", "--n", "2"] and wish.reduced == "" and wish.on_stall == "stop"
    assert wish.run_dir == full.run.with_name("hang-1-reduced")
    assert contexts(done.verdict) == ({context} if context else set())
    assert [c.failure for c in done.verdict.causes] == [c.failure for c in full.verdict.causes]
    kept = record.read(full.run)
    assert (kept.reduced.answer, kept.reduced.run, bool(kept.reduced.why)) == (
        answer,
        "hang-1-reduced",
        answer == "unclear",
    )
    assert done.code == full.code  # the job's own code is the run's
    assert contexts(reader.recall(full.run, "", lambda: BOOK)) == contexts(done.verdict)


def test_it_is_run_only_where_the_job_hung_and_nobody_had_it_end(full):
    watch, seen = reduced("none", 0, 2)
    for other in (
        full._replace(was_asked=True),
        full._replace(is_whole=False),
        full._replace(verdict=None),
        full._replace(verdict=Verdict(bundle="b", symptom="crash", run=Run())),
        full._replace(verdict=Verdict(bundle="b", symptom="slow", run=Run())),
    ):
        assert _reduced.answered(other, WISH, watch) is other
    assert not seen


@pytest.mark.parametrize(
    ("symptom", "code", "num_ranks", "more", "answer"),
    [
        ("will_not_start", -15, 1, {}, ("both", "")),
        ("none", 0, 1, {}, ("unclear", "it ran on 1 ranks, the full job on 2")),
        ("crash", -9, 2, {}, ("unclear", "it failed by itself, signal 9")),
        ("none", 0, 2, {"is_cut": True}, ("unclear", "it was ended from outside")),
    ],
)
def test_what_else_settles_nothing(symptom, code, num_ranks, more, answer):
    hang = Verdict(bundle="", symptom="hang", run=Run(num_ranks=2))
    seen = Verdict(bundle="", symptom=symptom, run=Run(num_ranks=num_ranks))
    data = reducing.told(hang, seen, Path("r"), ["a", "--token", "s3cr3t"], code, **{"is_cut": False, **more})
    assert reduction.answer(data) == answer and "s3cr3t" not in str(data)


def test_what_nobody_told_settles_nothing():
    ok = {"full_symptom": "hang", "symptom": "none", "exit_code": 0}
    assert reduction.answer(ok)[0] == "unclear"
    assert reduction.answer({**ok, "num_ranks": "8", "full_num_ranks": None})[0] == "unclear"
    assert reduction.answer({})[0] == "unclear"


def test_a_preset_that_cannot_start_leaves_the_job_as_it_was(full):
    def refuse(words, wish):
        raise NotStarted(127, "no such command")

    assert _reduced.answered(full, WISH, refuse) is full and record.read(full.run) is None


@pytest.mark.parametrize("words", ["'torchrun", "no-such-command-here x"])
def test_a_preset_that_cannot_be_is_refused_before_the_job_is_started(tmp_path, words):
    done = CliRunner().invoke(command, ["--root", str(tmp_path), "--reduced", words, "--", "touch", "x"])
    assert done.exit_code in (2, 127) and not list(tmp_path.iterdir())


def test_on_modal_it_goes_along_and_ends_what_hangs(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    spec = {"run": "r1", "name": "r", "command": ["x"], "reduced": "y --small"}
    words = Attempt(spec, None).command()
    assert words[words.index("--reduced") + 1] == "y --small"
    assert words[words.index("--on-stall") + 1] == "stop"
    assert "--reduced" not in Attempt({**spec, "reduced": ""}, None).command()

"""Records held against each other: what differs is found, weighed, and nothing untold is called the same."""

import pytest
from msgspec.structs import replace

from diagnose import changes, comparing, lanes
from diagnose.contract import CacheSize, Distributed, Git, Gpu, Steps
from diagnose.flags import both
from diagnose.render import comparison
from tests.records import GOOD, H200, with_in

BOOK = comparing.load()


def words(*rest):
    return ["torchrun", "--nproc-per-node", "8", "train.py", *rest]


PLANTED = {
    "image": ({"image": "im-2"}, "image"),
    "torch": ({"versions__torch": "2.9.0+cu128"}, "versions.torch"),
    "nccl": ({"versions__nccl": "2.28.9"}, "versions.nccl"),
    "driver": ({"versions__cuda": "13.0"}, "versions.cuda"),
    "package": ({"packages__flash_attn": "2.8.0"}, "packages.flash_attn"),
    "not loaded": ({"packages": {"transformers": "4.50.0"}}, "packages.flash_attn"),
    "upgrade": ({"installed__numpy": "2.0.1"}, "installed.numpy"),
    "editable": ({"installed__mylib": "0.1 editable bbb"}, "installed.mylib"),
    "gpu kind": ({"gpus__seen": [Gpu("NVIDIA B200", 180 << 30)] * 8}, "gpus.seen.name"),
    "gpu count": ({"gpus__seen": H200[:7]}, "gpus.seen.name"),
    "gpus visible": ({"gpus__num_visible": 1}, "gpus.num_visible"),
    "gpus asked for": ({"gpus__requested": "H200:4"}, "gpus.requested"),
    "mode": ({"distributed__mode": "ddp"}, "distributed.mode"),
    "world size": ({"distributed__world_size": 4}, "distributed.world_size"),
    "backend": ({"distributed__backends": ["gloo"]}, "distributed.backends"),
    "posture": ({"compile__posture": "eager"}, "compile.posture"),
    "variable set": ({"variables__NCCL_IB_DISABLE": "1"}, "variables.NCCL_IB_DISABLE"),
    "variable gone": ({"variables": {"NCCL_DEBUG": "INFO"}}, "variables.OMP_NUM_THREADS"),
    "variable changed": ({"variables__NCCL_DEBUG": "WARN"}, "variables.NCCL_DEBUG"),
    "cold cache": ({"compile__cache_start": CacheSize(0, 0)}, "compile.cache_start.files"),
    "other graphs": ({"compile__counters": {"graphs": 20}}, "compile.counters.graphs"),
    "flag": ({"arguments": words("--lr=0.2", "--data", "/data/a")}, "arguments.--lr"),
    "flag gone": ({"arguments": words("--data", "/data/a")}, "arguments.--lr"),
    "launcher's flag": (
        {"arguments": ["torchrun", "--nproc-per-node", "4", *words("--lr", "0.1", "--data", "/data/a")[3:]]},
        "arguments.--nproc-per-node",
    ),
    "data": ({"arguments": words("--lr", "0.1", "--data=/data/b")}, "arguments.--data"),
    "set by a script": ({"rank_variables": {"NCCL_ALGO": "Ring"}}, "variables.NCCL_ALGO"),
    "unset by a script": ({"rank_variables": {"OMP_NUM_THREADS": "not set"}}, "variables.OMP_NUM_THREADS"),
    "cpus": ({"host__cpus": 4.0}, "host.cpus"),
    "open files": ({"host__open_files": 512}, "host.open_files"),
    "locked memory": ({"host__locked_memory": 65536}, "host.locked_memory"),
    "kernel": ({"host__kernel": "6.9"}, "host.kernel"),
    "folder": ({"folder": "/elsewhere"}, "folder"),
    "locale": ({"variables__LC_ALL": "C"}, "variables.LC_ALL"),
    "note": ({"notes__dataset_hash": "y"}, "notes.dataset_hash"),
    "commit": ({"git__commit": "bb"}, "git.commit"),
    "dirty tree": ({"git__dirty": True}, "git.dirty"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_the_one_thing_that_was_planted_comes_first(name):
    planted, path = PLANTED[name]
    told = comparing.compare(GOOD, with_in(**planted), BOOK, lanes.lane("training"))
    assert told.comparable and told.exit_code() == 1
    assert told.differences[0].path == path
    assert told.differences[0].why
    other = comparing.compare(with_in(**planted), GOOD, BOOK, lanes.lane("training"))
    assert [d.path for d in other.differences] == [d.path for d in told.differences]


def test_what_is_the_same_in_another_dress_is_the_same():
    other = with_in(
        arguments=["torchrun", "--nproc_per_node=8", "train.py", "--data", "/data/a", "--lr", "1e-1"],
        compile__cache_start=CacheSize(405, 91 << 20),
        distributed__backends=["nccl"],
    )
    told = comparing.compare(GOOD, other, BOOK, lanes.lane("training"))
    assert (told.differences, told.exit_code(), told.measurable) == ([], 0, True)
    assert {one.path: one.differs for one in told.figures}["steps.median_s"] is False


def test_the_most_suspicious_comes_first_and_a_major_version_before_a_minor():
    other = with_in(
        git__commit="bb",
        arguments=words("--lr", "9"),
        variables__NCCL_DEBUG="WARN",
        versions__torch="2.9.0",
        image="im-2",
        packages={"flash_attn": "2.7.5", "transformers": "5.0.0"},
        gpus__seen=H200[:4],
    )
    paths = [one.path for one in comparing.compare(GOOD, other, BOOK).differences]
    assert paths == [
        *("image", "versions.torch", "packages.transformers", "packages.flash_attn", "gpus.seen.name"),
        *("gpus.seen.memory", "variables.NCCL_DEBUG", "arguments.--lr", "arguments.--data", "git.commit"),
        "gpus.seen.uuid",
    ]


@pytest.mark.parametrize(
    ("lacking", "path"),
    [
        ({"image": ""}, "image"),
        ({"versions": {}}, "versions.torch"),
        ({"variables": {}}, "variables.NCCL_DEBUG"),
        ({"compile__cache_start": None}, "compile.cache_start.files"),
        ({"git": Git(reason="no git")}, "git.commit"),
        ({"packages": {"transformers": "4.50.0"}, "rank_variables": None}, "packages.flash_attn"),
    ],
)
@pytest.mark.parametrize("missing", ["a", "b"])
def test_what_one_does_not_tell_is_unknown_and_never_equal(lacking, path, missing):
    pair = (with_in(**lacking), GOOD) if missing == "a" else (GOOD, with_in(**lacking))
    told = comparing.compare(*pair, BOOK, lanes.lane("training"))
    assert not told.differences
    assert (path, missing) in {(one.path, one.missing) for one in told.unknown}
    assert told.exit_code() == 3


def test_two_dirty_trees_may_not_be_the_same():
    dirty = with_in(git__dirty=True, git__num_changed=2)
    told = comparing.compare(dirty, replace(dirty, run="r"), BOOK)
    assert [one.path for one in told.unknown if one.missing == "hidden"] == ["git.dirty"]
    assert told.exit_code() == 3


def test_two_dirty_trees_of_one_digest_are_the_same_and_of_two_are_not():
    dirty = with_in(git__dirty=True, git__num_changed=2, git__digest="aa")
    assert comparing.compare(dirty, replace(dirty, run="r"), BOOK, lanes.lane("training")).exit_code() == 0
    other = with_in(git__dirty=True, git__num_changed=2, git__digest="bb")
    [told] = comparing.compare(dirty, other, BOOK).differences
    assert (told.path, told.before, told.after) == ("git.dirty", "aa", "bb")
    sent = with_in(git=Git(reason="no checkout", digest="cc"))  # of the program's own file alone
    assert [d.path for d in comparing.compare(GOOD, sent, BOOK).differences] == []
    again = with_in(git=Git(reason="no checkout", digest="dd"))
    assert [d.path for d in comparing.compare(sent, again, BOOK).differences] == ["git.dirty"]


def test_what_only_the_other_s_ranks_tell_is_unknown_where_these_had_not_come_so_far():
    sets = with_in(rank_variables={"NCCL_ALGO": "Ring"})
    for short in ({"steps": Steps()}, {"rank_variables": None}):
        told = comparing.compare(with_in(**short), sets, BOOK)
        assert [d.path for d in told.differences] == []
        assert ("variables.NCCL_ALGO", "a") in {(one.path, one.missing) for one in told.unknown}


def test_a_secret_is_neither_compared_nor_shown():
    told = comparing.compare(GOOD, with_in(), BOOK, lanes.lane("training"))
    assert [(one.path, one.missing) for one in told.unknown] == [("variables.HF_TOKEN_NCCL_", "both")]
    assert told.exit_code() == 0 and "<redacted>" not in comparison.encode(told)


@pytest.mark.parametrize(
    "other",
    [
        {"lane": "benchmark"},
        {"surface": "modal"},
        {"arguments": ["eval.py"]},
        {"schema": "diagnose/record/2"},
    ],
)
def test_another_kind_of_run_is_not_comparable(other):
    told = comparing.compare(GOOD, with_in(**other, image="im-2"), BOOK)
    assert not told.comparable and len(told.reasons) == 1 and told.exit_code() == 3
    assert told.differences and not told.figures  # what differs is told all the same


def test_what_is_no_receipt_is_not_measured_and_its_provenance_is_compared():
    hung = with_in(steps=Steps(num=1), end_marker=False, exit_path="lost", image="im-2")
    told = comparing.compare(GOOD, hung, BOOK, lanes.lane("training"))
    assert (told.measurable, told.figures, told.exit_code()) == (False, [], 1)
    assert told.not_measured == ["B is no receipt: no end marker; 1 step of at least 3"]
    same = comparing.compare(GOOD, with_in(steps=Steps(num=1)), BOOK, lanes.lane("training"))
    assert same.exit_code() == 3


def test_a_run_that_ended_before_its_first_step_may_only_not_have_come_so_far():
    early = {"steps": Steps(), "compile__counters": {"graphs": 2}}
    hung = with_in(**early, distributed=Distributed("own", [], ["gloo", "nccl"], [], 8, 8))
    told = comparing.compare(GOOD, hung, BOOK, lanes.lane("training"))
    assert [one.path for one in told.differences] == ["distributed.backends"]  # more than the other has
    assert {one.path for one in told.unknown if one.missing == "b"} == {
        *("distributed.mode", "distributed.wrappers", "compile.counters.graphs")
    }
    other = with_in(**early, distributed__mode="ddp")
    assert comparing.compare(GOOD, other, BOOK).differences[0].path == "distributed.mode"
    stepped = replace(hung, steps=GOOD.steps)
    assert comparing.compare(GOOD, stepped, BOOK).differences[0].path == "distributed.mode"


def test_figures_of_other_gpus_or_another_mode_are_not_compared():
    for planted in ({"gpus__seen": H200[:4]}, {"distributed__mode": "ddp"}):
        assert not comparing.compare(GOOD, with_in(**planted), BOOK).measurable


def test_a_slower_step_beyond_the_spread_is_a_difference_and_noise_is_none():
    slow = with_in(steps=Steps(num=50, median_s=1.4, p10_s=1.3, p90_s=1.5))
    told = comparing.compare(GOOD, slow, BOOK, lanes.lane("training"))
    assert {one.path for one in told.figures if one.differs} == {"steps.median_s"}
    assert told.exit_code() == 1
    wide = with_in(steps=Steps(num=50, median_s=1.4, p10_s=0.9, p90_s=1.5))
    assert comparing.compare(GOOD, wide, BOOK, lanes.lane("training")).exit_code() == 0


def test_names_of_one_run_are_told_and_are_no_drift():
    end = ["--lr", "0.1", "--data", "/data/a"]
    one, other = (
        with_in(arguments=words(*end, "--output-dir", f"/tmp/{n}", "--run-name", n)) for n in ("a", "b")
    )
    told = comparing.compare(one, other, BOOK, lanes.lane("training"))
    assert all(d.minor for d in told.differences) and len(told.differences) == 2 and told.exit_code() == 0


def test_another_piece_of_hardware_is_told_and_is_no_drift():
    told = comparing.compare(GOOD, with_in(gpus__seen=[replace(g, uuid="GPU-z") for g in H200]), BOOK)
    assert [(one.path, one.minor) for one in told.differences] == [("gpus.seen.uuid", True)]
    assert told.exit_code() == 0


def test_a_value_after_a_switch_is_no_value_of_it():
    one, other = both(["python", "-u", "job", "--fast", "in.txt"], ["python", "job", "in.txt"])
    assert one.plain == other.plain and one.flags == {"-u": ["set"], "--fast": ["set"]}


def test_the_first_run_where_a_field_changed():
    later = [
        with_in(run="r1"),
        with_in(run="r2", image=""),
        with_in(run="r3", image="im-2"),
        with_in(run="r4", image="im-3", variables__NCCL_DEBUG="WARN"),
    ]
    later = [replace(one, started=200.0 + n) for n, one in enumerate(later)]
    found = {c.difference.path: (c.run, c.unsure) for c in changes.first_changes(GOOD, later, BOOK)}
    assert found == {"image": ("r3", ["r2"]), "variables.NCCL_DEBUG": ("r4", [])}
    for wanted, run in {"env.NCCL_DEBUG": "r4", "variables": "r4", "env": "r4", "image": "r3"}.items():
        assert [c.run for c in changes.first_changes(GOOD, later, BOOK, wanted)] == [run], wanted
    assert changes.first_changes(GOOD, later, BOOK, "versions.torch") == []
    assert not changes.paths_of("imagination", BOOK) and changes.paths_of("git", BOOK)

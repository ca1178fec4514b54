"""What a trial comes to where it goes wrong: ranks hang, a launcher dies, evidence does not arrive."""

import importlib
import os
import subprocess
import sys
import time

import pytest

from probes import procfs
from probes.checking import bandwidth, nccl_words, pace, trial, trial_files
from probes.checking.check import Target
from probes.checking.trial import Trial
from probes.checks import (
    collective_speed,
    compile_skew,
    escape_routes,
    local_rank_applied,
    nccl_diagnostics,
    node_identity,
    rank_gpu_unique,
    ranks_start,
    variables_equal,
    world_arithmetic,
)

# It plays the launcher of a job in which rank 1 never comes out of a collective.
HANGS = """#!{python} -IS
import json, os, subprocess, sys, time
options = json.loads(sys.argv[-1])
for rank, parts in enumerate(([["started"], ["joined"], ["ended"]], [["started"], ["joined"], ["entered"]])):
    with open(os.path.join(options["out"], f"rank-{{rank}}.jsonl"), "w") as file:
        for [part] in parts:
            line = {{"part": part, "rank": rank, "time": time.time(), "seconds": 0.5, "op": "all_reduce"}}
            file.write(json.dumps(line) + "\\n")
        file.write('{{"part": "torn')
print("RuntimeError: wait timeout after 30000ms", flush=True)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
open({pids!r}, "w").write(f"{{os.getpid()}} {{child.pid}}")
time.sleep(60)
"""


def wanted(tmp_path, python, level="default", root=""):
    return trial.Wish(str(python), 2, "cpu", level, (), "", root or str(tmp_path / "runs"))


def is_gone(pid: int) -> bool:
    now = procfs.stat(pid)
    return now is None or now.state == "Z"


def test_a_rank_that_hangs_is_the_finding_and_nothing_of_it_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr(trial, "LIMIT_S", {"default": 3.0})
    monkeypatch.setattr(trial, "GRACE_S", 1.0)
    monkeypatch.setattr(pace, "cpu_share", lambda: 1.0)  # on a busy machine it might only be late
    launcher, pids = tmp_path / "python", tmp_path / "pids"
    launcher.write_text(HANGS.format(python=sys.executable, pids=str(pids)))
    launcher.chmod(0o755)
    held = trial.launch(wanted(tmp_path, launcher), dict(os.environ))
    first, second = (ranks_start.of_rank(rank, held) for rank in (0, 1))
    assert first.values["is_through"] and not second.values["is_through"]
    assert (second.values["last"], second.values["was_ended_by_us"]) == ("in all_reduce", True)
    assert second.values["launcher_says"] == "RuntimeError: wait timeout after 30000ms"
    end = time.monotonic() + 60
    while not all(is_gone(int(pid)) for pid in pids.read_text().split()) and time.monotonic() < end:
        time.sleep(0.05)
    assert all(is_gone(int(pid)) for pid in pids.read_text().split())


def test_a_launcher_that_dies_says_why(tmp_path):
    launcher = tmp_path / "python"
    launcher.write_text("#!/bin/sh\necho 'ModuleNotFoundError: No module named torch' >&2\nexit 1\n")
    launcher.chmod(0o755)
    told = ranks_start.of_rank(1, trial.launch(wanted(tmp_path, launcher), {"PATH": os.environ["PATH"]}))
    assert (told.values["last"], told.values["was_ended_by_us"]) == ("it never started", False)
    assert told.values["launcher_says"] == "ModuleNotFoundError: No module named torch"


def test_what_a_killed_trial_left_is_removed_by_the_next(tmp_path):
    child = subprocess.Popen(["true"])
    child.wait()
    for name in (f"t-{child.pid}-abc", f"t-{os.getpid()}-abc", "t-own", "other"):
        (tmp_path / name).mkdir()
    assert trial.own(str(tmp_path), "t-") == f"t-{os.getpid()}-"
    assert {path.name for path in tmp_path.iterdir()} == {f"t-{os.getpid()}-abc", "t-own", "other"}


def test_a_root_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    held = trial.launch(wanted(tmp_path, "/bin/true", "deep", str(tmp_path / "file" / "runs")), {})
    assert held.rehearsal == {"refusal": "Not a directory"}


RUN = {
    "stacks": {0: [105.0], 1: [101.0, 105.5]},
    "flight": {1: [105.2]},
    "events": {"job.stalled": [90.0, 104.0], "verdict.written": [102.0, 107.0]},
    "verdict": {"symptom": "hang", "causes": [{"failure": "user_lock_deadlock", "ranks": [1]}]},
}


def routes(told):
    return {one.subject: one.values for one in escape_routes.routes(told, 100.0, Trial(2, "cpu", 1, [], ""))}


def test_only_what_came_after_the_stall_counts():
    found = routes(RUN)
    assert found["stack"] == {"num_missing": 0, "has_culprit": True, "after_s": 5.5}
    assert found["flight recorder"] == {"num_missing": 1, "has_culprit": True, "after_s": 5.2}
    assert (found["job.stalled"]["after_s"], found["verdict.written"]["after_s"]) == (4.0, 7.0)
    assert found["verdict"]["is_right"]


@pytest.mark.parametrize(
    ("change", "subject", "key"),
    [
        ({"stacks": {0: [105.0]}}, "stack", "has_culprit"),  # ptrace and signals were refused
        ({"stacks": {1: [103.0]}}, "stack", "has_culprit"),  # before the stall
        ({"events": {}}, "job.stalled", "is_told"),
        ({"events": {}}, "stack", "has_culprit"),
        ({"verdict": {"symptom": "hang", "causes": [{"ranks": [0]}]}}, "verdict", "is_right"),
        ({"verdict": {"symptom": "unknown", "causes": []}}, "verdict", "is_right"),
        ({"verdict": {}}, "verdict", "is_right"),
    ],
)
def test_what_did_not_arrive_is_not_called_arrived(change, subject, key):
    assert routes(RUN)[subject][key] and not routes(RUN | change)[subject][key]


def test_a_job_that_never_came_to_the_hang_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(
        trial, "held", lambda target: Trial(2, "cpu", 1, [], "", rehearsal=RUN | {"events": {}})
    )
    found = escape_routes.measure(Target({"DIAGNOSE_ROOT": str(tmp_path)}))
    assert [one.values for one in found] == [{"refusal": ""}, {"is_reached": False}]


@pytest.mark.parametrize(("share", "outcome"), [(0.9, "measured"), (0.2, "skip")])
def test_what_is_late_on_a_busy_machine_is_not_called_lost(tmp_path, monkeypatch, share, outcome):
    lines = [{"part": "hanging", "rank": 0, "time": 100.0}, {"part": "joined", "rank": 1, "seconds": 0.5}]
    told = {"stacks": {0: [105.0]}, "events": {"job.stalled": [104.0]}, "verdict": {}}
    held = Trial(2, "cpu", None, lines, "", rehearsal=told, cpu_share=share)
    monkeypatch.setattr(trial, "held", lambda target: held)
    found = {one.subject: one for one in escape_routes.measure(Target({"DIAGNOSE_ROOT": str(tmp_path)}))}
    assert found["job.stalled"].values["is_told"], "what arrived has arrived"
    missing = {found[name].skip[:13] for name in ("stack", "verdict", "verdict.written")}
    assert missing == ({"it did not ar"} if outcome == "skip" else {""})
    assert bool(ranks_start.of_rank(1, held).skip) == (outcome == "skip")
    assert not ranks_start.of_rank(1, held._replace(code=1)).skip, "it ended by itself"
    early = escape_routes.unreached({"events": {"job.stalled": [1.0]}}, held._replace(cpu_share=1.0))
    assert "H01" in early.skip


def test_a_run_directory_is_read_as_far_as_it_goes(tmp_path):
    folder = tmp_path / "attempts/1"
    for path in (
        "stacks/1/rank-00001.json",
        "stacks/1/rank-x.json",
        "flight/watchdog/rank-00000",
        "events/a.jsonl",
    ):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text('{"event":"job.stalled","time":5.0}\nnoise\n[]\n{"event":7}\n{"event":"x"')
    (tmp_path / "verdict.json").write_text("{")
    found = trial_files.left(str(tmp_path))
    assert (list(found["stacks"]), list(found["flight"])) == ([1], [0])
    assert (found["events"], found["verdict"]) == ({"job.stalled": [5.0]}, {})


def test_the_job_is_launched_without_the_words_of_a_launcher_around_us():
    given = {
        "RANK": "3",
        "MASTER_ADDR": "x",
        "DIAGNOSE_SPOOL": "y",
        "NCCL_ALGO": "Ring",
        "OMP_NUM_THREADS": "4",
    }
    assert trial.surroundings(given, "") == {"NCCL_ALGO": "Ring", "OMP_NUM_THREADS": "4"}
    nccl = trial.surroundings({trial.DIAGNOSE: "0"}, "/n.log")
    assert nccl["NCCL_DEBUG"] == "INFO" and nccl[trial.DIAGNOSE] == "0", "an operator's own value wins"
    assert trial.surroundings({}, "/n.log")[trial.DIAGNOSE] == "1"


def world(rank, size="2", local="2", group="0", port="1"):
    names = ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK", "MASTER_PORT")
    return dict(zip(names, (rank, size, local, group, port), strict=True))


@pytest.mark.parametrize(
    ("worlds", "odd"),
    [
        ([world("0"), world("1")], set()),
        ([world("0", "4"), world("1", "4"), world("2", "4", "2", "1"), world("3", "4", "2", "1")], set()),
        ([world("0"), world("0")], {"has_twice"}),
        ([world("0", "4"), world("1", "4")], {"adds_up"}),
        ([world("0"), world("1", "3")], {"num_world_sizes", "adds_up"}),
        ([world("0"), world("1", port="2")], {"num_addresses"}),
    ],
)
def test_the_ranks_numbers_are_added_up(worlds, odd):
    found = world_arithmetic.of_worlds(worlds)
    good = {"has_twice": False, "adds_up": True, "num_world_sizes": 1, "num_addresses": 1}
    assert {key for key, value in good.items() if found[key] != value} == odd


def test_a_variable_that_differs_is_named_with_the_odd_rank():
    told = {rank: {"NCCL_ALGO": "aa" if rank != 5 else "bb", "CUDA_X": "c"} for rank in range(8)}
    [found] = variables_equal.compared(told)
    assert (found.subject, found.values["odd_ranks"], found.values["decides"]) == ("NCCL_ALGO", "5", True)


def test_two_machines_of_one_name_with_gpus_at_one_place_are_told(monkeypatch):
    def mine(boot, bus):
        return {"node": {"host_id": "", "hostname": "modal", "boot": boot}, "device": {"bus": bus}}

    people = {0: mine("a", "18"), 1: mine("b", "18"), 2: mine("b", "2a")}
    line = {"part": "everyone", "rank": 0, "ranks": {str(rank): one for rank, one in people.items()}}
    monkeypatch.setattr(trial, "held", lambda target: Trial(3, "cuda", 0, [line], ""))
    [found] = node_identity.measure(Target({}))
    assert dict(found.values) == {"num_machines": 2, "num_shared_places": 1}


def test_the_spread_of_compiles_and_a_rank_that_never_ended_its(monkeypatch):
    lines = [{"part": "compiled", "rank": rank, "seconds": 20.0 + 30 * (rank == 2)} for rank in range(3)]
    monkeypatch.setattr(trial, "held", lambda target: Trial(4, "cpu", 0, lines, ""))
    [found] = compile_skew.measure(Target({}))
    assert (found.values["spread_s"], found.values["slowest_rank"], found.values["num_missing"]) == (
        30.0,
        2,
        1,
    )


def test_nccl_says_over_what_it_sends():
    lines = [
        "n1:7:9 [0] NCCL INFO Channel 00/0 : 0[1b000] -> 1[43000] via P2P/IPC",
        "n1:7:9 [0] NCCL INFO Channel 01/0 : 0[1b000] -> 1[43000] via P2P/IPC",
        "n1:7:9 [1] NCCL INFO Channel 00 : 1[1] -> 0[0] via SHM/direct/direct",
        "n1:7:9 [1] NCCL INFO Channel 00/0 : 1[1] -> 2[0] [send] via NET/Socket/0",
        "n1:7:9 [0] NCCL INFO 24 coll channels, 24 collnet channels, 0 nvls channels, 32 p2p channels",
    ]
    found = nccl_words.read("\n".join(lines))
    assert found.pairs == {"P2P": 1, "SHM": 1, "NET": 1} and (found.num_channels, found.has_nvls) == (
        24,
        False,
    )
    assert nccl_words.read("").has_nvls is None


HEAD = "NCCL DIAG === NCCL Diagnostics ==="
END = "NCCL DIAG NCCL diagnostics completed in 245.3 ms across 8 ranks"
WRONG = (  # as src/diagnostics/p2p.cc of 2.31 prints it
    "n1:7 NCCL DIAG [INFO] p2p: write mismatch srcRank=0 srcCudaDev=0 srcNvmlDev=0 dstRank=3 dstCudaDev=3 "
    "dstNvmlDev=3 path=NVL handle=CUMEM_POSIX_FD expected=0x00000000d1a60003 got=0x0000000000000000; check "
    "the single-node NVLink topology and peer-access state with 'nvidia-smi topo -m'"
)


SOUND = (
    "NCCL DIAG [OK]   p2p: verified P2P access in both directions between every GPU pair (56 peer accesses)"
)
BEFORE = "[default0]:n1:7 NCCL DIAG [OK]   p2p: all 56 directed GPU P2P edges verified"  # its first release
PART = "NCCL DIAG [INFO] p2p: only 55/56 GPU-to-GPU peer accesses passed verification"
PAIR = ("rank 0 - rank 3", {"failure": "write mismatch", "path": "NVL"})
NO_PAIR = "NCCL DIAG [OK] net bw: skipped (single host or no network transport)"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([SOUND], [("host", {"num_tested": 56, "num_failed": 0})]),
        ([BEFORE], [("host", {"num_tested": 56, "num_failed": 0})]),
        ([WRONG, PART], [("host", {"num_tested": 56, "num_failed": 1}), PAIR]),
        ([NO_PAIR], [("host", "NCCL expects no two GPUs to talk directly")]),
        (["NCCL DIAG [INFO] p2p: check returned 3"], [("host", "check returned 3")]),
    ],
    ids=["sound", "sound, in other words", "one pair fails", "no pair", "not made"],
)
def test_nccls_own_diagnostics_are_read(lines, expected):
    found = nccl_diagnostics.told("\n".join([HEAD, *lines, END]))
    assert [(one.subject, one.skip or dict(one.values)) for one in found] == expected
    [silent] = nccl_diagnostics.told("n1:7:9 [0] NCCL INFO Bootstrap")
    assert "2.31" in silent.skip


def test_two_ranks_are_measured_by_the_faster_one():
    assert bandwidth.late_shares({0: [1.0], 1: [1.5]}) == {0: 0.0, 1: 0.5}
    assert bandwidth.late_shares({}) == {} == bandwidth.late_shares({0: []})


H100 = {"index": 3, "model": "NVIDIA H100 80GB HBM3", "num_gpus": 8}
GPU_LINES = {  # what a rank would say; no GPU has said it yet
    "gemm_speed": ({"part": "gemm", "width": 8192, "seconds": [0.0014] * 3}, {"gemm_bf16_tflops": 785.4}),
    "memory_speed": ({"part": "memory", "num_bytes": 1 << 30, "seconds": [0.0004]}, {"hbm_gbps": 2684.4}),
    "host_copy_speed": (
        {"part": "host_copy", "num_bytes": 1 << 28, "to_device": [0.005], "to_host": [0.01]},
        {"h2d_gbps": 53.7, "d2h_gbps": 26.8},
    ),
    "peer_copy_speed": (
        {"part": "peer_copy", "peer": 4, "num_bytes": 1 << 28, "seconds": [0.001]},
        {"p2p_gbps": 268.4},
    ),
    "peer_copy_correct": (
        {"part": "peer_copy", "peer": 4, "is_right": False, "has_access": True},
        {"is_right": False},
    ),
}


@pytest.mark.parametrize("name", GPU_LINES)
def test_what_a_gpu_says_comes_to_numbers(name, monkeypatch):
    line, wanted_values = GPU_LINES[name]
    module = importlib.import_module(f"probes.checks.{name}")
    monkeypatch.setattr(trial, "held", lambda target: Trial(8, "cuda", 0, [{"rank": 3, **H100, **line}], ""))
    [found] = module.measure(Target({}))
    assert found.subject.startswith("gpu 3") and found.values.items() >= wanted_values.items()


def test_bandwidth_is_that_of_the_slowest_rank():
    lines = [
        {
            "part": "timed",
            "rank": rank,
            "op": "all_gather",
            "num_bytes": 1 << 20,
            "seconds": [0.001, took, 0.001],
        }
        for rank, took in enumerate((0.002, 0.004))
    ]
    left = [{"part": "timed", "rank": 0, "op": "all_gather", "num_bytes": 1 << 30, "left": "too long"}]
    held = Trial(2, "cuda", 0, [*lines, *left], "NVLS multicast support is available on dev 0")
    small = collective_speed.of_size("all_gather", 1 << 20, lines, True, held)
    assert (small.values["median_s"], small.values["p95_s"], small.values["all_gather_gbps"]) == (
        0.001,
        0.004,
        0.524,
    )
    assert collective_speed.of_size("all_gather", 1 << 30, left, True, held).skip == "too long"


def test_ranks_on_one_gpu_are_named(monkeypatch):
    def mine(uuid):
        return {"device": {"uuid": uuid, "num_seen": 1, "index": 0}, "node": {"boot": "b", "hostname": "n"}}

    people = {
        str(rank): {**mine(uuid), "world": {"LOCAL_RANK": str(rank)}} for rank, uuid in enumerate("aab")
    }
    held = Trial(3, "cuda", 0, [{"part": "everyone", "rank": 0, "ranks": people}], "")
    monkeypatch.setattr(trial, "held", lambda target: held)
    assert [one.values["ranks"] for one in rank_gpu_unique.measure(Target({}))] == ["0, 1", "2"]
    assert [one.values["is_there"] for one in local_rank_applied.measure(Target({}))] == [True, False, False]

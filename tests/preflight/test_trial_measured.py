"""What the ranks of a trial say, line by line, comes to measurements of each check."""

import importlib

import pytest

from probes.checking import bandwidth, nccl_words, trial
from probes.checking.check import Target
from probes.checking.trial import Trial
from probes.checks import (
    collective_speed,
    compile_skew,
    local_rank_applied,
    nccl_diagnostics,
    node_identity,
    rank_gpu_unique,
    variables_equal,
    world_arithmetic,
)


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

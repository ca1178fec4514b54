"""What lines about GPUs accuse: the table's readings, companions, floods, whose device it is."""

import pytest

from diagnose import coverage, lines
from diagnose.facts import gpu_faults
from diagnose.model import Event
from diagnose.xids import catalogue

XID = "NVRM: Xid (PCI:0000:3b:00): {}"


def facts(*texts: str, more: tuple[Event, ...] = ()):
    found = [
        Event(pattern.kind, pattern.source or "rank_log", f"dmesg.txt:{number}", data=data)
        for number, text in enumerate(texts, 1)
        for pattern in lines.patterns()
        if (data := pattern.search(text)) is not None
    ]
    return list(gpu_faults.derive(coverage.gather([*found, *more])))


def faults(*texts: str) -> set[str]:
    """The faults that accuse somebody."""
    return {
        str(fact.data["fault"])
        for fact in facts(*texts)
        if not fact.data["noted"]
        and fact.data["fault"] not in ("cleanup", "peer")
        and (fact.data["fault"] != "application" or fact.data["alone"])
    }


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.", "bus"),
        ("94, pid=7, name=python, Contained: SM (0x1)", "memory"),
        ("119, pid=7, name=nvidia-smi, Timeout waiting for RPC from GSP!", "firmware"),
        ("74, pid=7, name=python, NVLink: fatal error", "fabric"),
        ("149, NETIR_LINK_EVT  Fatal XC0 i0 Link 08 (0x004505c6)", "fabric"),
        ("31, pid=7, name=python, Ch 00000010, MMU Fault", "application"),
        ("45, pid=7, name=python, Ch 00000001 caused by previous Xid 149", "fabric"),
    ],
)
def test_a_code_accuses_what_the_table_says(text: str, fault: str) -> None:
    assert faults(XID.format(text)) == {fault}


@pytest.mark.parametrize(
    "text",
    [
        "45, pid=7, name=python, Ch 00000001",
        "154, GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)",
        "149, NETIR_LINK_EVT  Nonfatal XC0 i0 Link 08 (0x004505c6)",
        "149, what nobody can read",
        "92, pid=7, name=python, High single-bit ECC error rate",
        "9999, a code that is not known",
    ],
)
def test_what_only_follows_or_is_not_known_accuses_nobody(text: str) -> None:
    assert faults(XID.format(text)) == set()


def test_a_bad_access_beside_a_fault_of_the_same_device_is_no_programs() -> None:
    access, memory = XID.format("31, pid=7, name=python, Ch 1"), XID.format("48, pid=7, name=python, DBE")
    assert faults(access, memory) == {"memory"}
    assert faults(access, memory.replace("3b", "5e")) == {"application", "memory"}


def test_a_flood_is_one_fact_that_names_the_rank_of_its_process() -> None:
    died = Event(
        "launcher.rank_failed", "launcher_log", "x:1", data={"exit_code": 1, "local_rank": 2, "pid": 7}
    )
    text = XID.format(
        "13, pid=7, name=python, Graphics SM Warp Exception on (GPC 0, TPC 1, SM 0): Out Of Range"
    )
    [fact] = facts(*[text] * 100, more=(died,))
    assert fact.ranks == [2] and len(fact.events) == 4


def test_a_switchs_error_counts_only_where_it_is_fatal() -> None:
    line = "nvidia-nvswitch0: SXid (PCI:0000:c1:00.0): 12028, {}, Link 32 egress error (First)"
    assert faults(line.format("Non-fatal")) == set() and faults(line.format("Fatal")) == {"fabric"}


def test_an_error_of_the_bus_counts_only_where_it_is_fatal_and_the_gpu_has_it() -> None:
    line = "{} 0000:3b:00.0: PCIe Bus Error: severity=Uncorrected ({}), type=Transaction Layer"
    assert faults(line.format("nvidia", "Fatal")) == {"bus"}
    assert faults(line.format("nvidia", "Non-Fatal")) == set() == faults(line.format("mlx5_core", "Fatal"))


def test_what_cuda_says_is_of_the_rank_that_said_it() -> None:
    [fact] = facts("[Rank 1] NCCL watchdog: CUDA error: uncorrectable ECC error encountered")
    assert fact.ranks == [1] and fact.data["fault"] == "memory"


def test_codes_of_the_table_that_never_are_a_root_are_cleanup() -> None:
    assert {code for code, xid in catalogue().items() if xid.never_root} == {45, 154}
    assert all(xid.fault == "cleanup" for xid in catalogue().values() if xid.never_root)


def comm(rank: int, bus: str, node: str | None = None) -> Event:
    data: dict[str, object] = {"comm_rank": rank, "num_ranks": 2, "device_id": bus}
    return Event("nccl.comm_inited", "nccl_log", "x.log:1", node=node, rank=rank, data=data)


def test_a_platforms_word_on_a_gpu_names_it_and_the_rank_on_it_once() -> None:
    text = "[gpu-health] [CRITICAL] GPU-5c1e: XID: NVRM: Xid (PCI:0000:1b:00): 79, pid=101, name=python, gone"
    ended = Event(
        "rank.died", "agent", "x:1", rank=0, data={"pid": 101, "signal": 9}
    )  # the pid is the host's
    [found] = facts(*[text] * 500, more=(comm(0, "1a000"), comm(1, "1b000"), ended))
    assert found.ranks == [1] and found.text.startswith("rank 1, on GPU-5c1e, cannot be reached")
    [alone] = facts(text, more=(ended,))
    assert alone.ranks == [] and alone.text.startswith("the GPU GPU-5c1e cannot")
    [twice] = facts(text, more=(comm(0, "1b000"), comm(8, "1b000")))
    assert twice.ranks == [], "every node has such a place"


@pytest.mark.parametrize(("node", "ranks"), [("b", [8]), ("a", [0]), ("its-host", []), (None, [])])
def test_where_every_node_has_such_a_place_the_node_tells_whose_it_is(
    node: str | None, ranks: list[int]
) -> None:
    xid = Event("gpu.xid", "kernel_log", "dmesg.txt:1", node=node, data={"code": 79, "bus": "0000:1b:00"})
    [found] = facts(more=(comm(0, "1b000", "a"), comm(8, "1b000", "b"), xid))
    assert found.ranks == ranks


def test_a_rank_of_another_node_is_not_blamed_where_its_own_nodes_ranks_said_nothing() -> None:
    dead = Event("rank.died", "agent", "x:1", node="b", rank=8, data={"pid": 101, "signal": 9})
    told = (comm(0, "4b000", "a"), comm(8, "1b000", "b"), dead)
    for pid in ({}, {"pid": 101}):
        data = {"code": 79, "bus": "0000:1b:00", **pid}
        [found] = facts(more=(*told, Event("gpu.xid", "kernel_log", "dmesg.txt:1", node="a", data=data)))
        assert found.ranks == []

"""What NCCL's lines amount to: whose they are, and what they do not prove."""

import pytest

from diagnose import coverage, processes
from diagnose.facts import nccl, network, resources
from diagnose.model import Event, Evidence
from diagnose.sources import launcher_log
from diagnose.wrappers import process_of
from tests.sources.test_lines import read


def evidence(*texts: str) -> Evidence:
    """Each text is a file of its own."""
    files = [(f"node{n}.log", "\n".join(text.splitlines())) for n, text in enumerate(texts)]
    events = [event for where, text in files for event in read(launcher_log, where, text)]
    return coverage.gather(processes.named(events))


def comm(host: str, pid: int, rank: int, size: int) -> str:
    return f"{host}:{pid}:9 [0] NCCL INFO comm 0x5f rank {rank} nranks {size} cudaDev 0 busId 1000\n"


def memlock(host: str, pid: int) -> str:
    said = "Call to ibv_reg_mr failed with error Cannot allocate memory"
    return f"{host}:{pid}:12 [0] misc/ibvwrap.cc:1 NCCL WARN {said}\n"


def test_a_process_is_the_rank_that_the_largest_communicator_says_in_whatever_file() -> None:
    seen = evidence(memlock("b", 7), comm("a", 7, 0, 16) + comm("b", 7, 13, 16) + comm("b", 7, 1, 2))
    [fact] = resources.derive(seen)
    assert (fact.data["kind"], fact.ranks, fact.nodes) == ("memlock", [13], ["b"])


def test_a_process_that_is_two_ranks_is_neither() -> None:
    [fact] = resources.derive(evidence(memlock("b", 7) + comm("b", 7, 3, 16) + comm("b", 7, 4, 16)))
    assert fact.ranks == []


def test_a_prefix_is_read_with_and_without_a_thread_and_the_last_of_a_line_counts() -> None:
    assert process_of("n-1.x:70 [3] misc/socket.cc:1 NCCL WARN x") == {
        "host": "n-1.x",
        "pid": 70,
        "device": 3,
    }
    assert process_of("a:1:2 [0] NCCL INFO b:3:4 [1] NCCL WARN x")["host"] == "b"
    assert process_of("12:30:45 [0] step") == {}


@pytest.mark.parametrize(
    "line",
    [
        "a:1:2 [0] NCCL INFO NET/Plugin : No plugin found (libnccl-net.so), using internal implementation",
        "a:1:2 [0] NCCL INFO NET/IB : No device found.",
        "a:1:2 [0] NCCL INFO NET/Plugin: Failed to find ncclNetPlugin_v8 symbol.",
        "a:1:2 [0] NCCL INFO Could not enable P2P between dev 1(=1000) and dev 0(=2000)",
        "a:1:2 [0] misc/socket.cc:50 NCCL WARN socketProgress: Connection closed by remote peer b<41110>",
        "a:1:2 [0] net_ib.cc:1 NCCL WARN NET/IB : mlx5_0:1 Got async event : GID table change",
    ],
)
def test_what_is_normal_or_follows_proves_nothing(line: str) -> None:
    seen = evidence(line)
    assert not [*nccl.derive(seen), *resources.derive(seen), *network.derive(seen)]


def test_a_reset_that_one_end_alone_sees_is_no_lost_link() -> None:
    reset = "{}:5:6 [0] NCCL WARN Call to recv from 10.0.0.2<41> failed : Connection reset by peer"
    assert not list(network.derive(evidence(reset.format("a"))))
    [fact] = network.derive(evidence(reset.format("a"), reset.format("b")))
    assert fact.inferred and not fact.open


def test_networks_that_differ_are_told_by_process_and_the_last_choice_counts() -> None:
    first = "a:1:2 [0] NCCL INFO Using network IB\nb:1:2 [0] NCCL INFO Using network Socket\n"
    assert [f.data["how"] for f in nccl.derive(evidence(first))] == ["networks_differ"]
    assert not list(nccl.derive(evidence(first + "b:1:2 [0] NCCL INFO Using network IB\n")))


def test_events_without_a_process_stay_as_they_are() -> None:
    event = Event("log.read", "launcher_log", "x.log")
    assert processes.named([event]) == [event]

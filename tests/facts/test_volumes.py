"""State on volumes of its own: what is flagged, what is not, and that it never becomes a cause."""

import pytest

from diagnose.model import Event
from diagnose.pipeline import judge
from diagnose.playbook import load

BOOK = load()


def row(point, holds, filesystem="nfs4", remote=True, root=False):
    held = {what: {"path": f"{point}/{what}", "how": how} for what, how in holds.items()}
    return {"point": point, "filesystem": filesystem, "remote": remote, "root": root, "holds": held}


def context(*rows_of_ranks):
    events = [
        Event(
            "volumes.read",
            "agent",
            f"attempts/1/events/a.jsonl:{rank + 1}",
            5.0,
            None,
            rank,
            {"volumes": rows},
        )
        for rank, rows in enumerate(rows_of_ranks)
    ]
    claims = [
        Event("rank.claimed", "rank_hook", f"attempts/1/events/r{e.rank}.jsonl:1", 1.0, None, e.rank)
        for e in events
    ]
    end = Event("command.ended", "run", "attempts/1/events/run.jsonl:1", 9.0, data={"exit_code": 0})
    verdict = judge("b", [*claims, *events, end], BOOK)
    assert not verdict.causes and verdict.exit_code() == 0 and verdict.symptom == "none"
    return [found.failure for found in verdict.context]


READ = {"data": "open"}


@pytest.mark.parametrize("remote", [True, False])
def test_two_kinds_on_one_mount_are_flagged_whatever_the_mount(remote):
    rows = [row("/vol", {"checkpoints": "told", "cache": "told"}, remote=remote)]
    assert context(rows) == ["volume_shared"]
    both = [row("/vol", {"checkpoints": "open"}, remote=remote)], [row("/vol", READ, remote=remote)]
    assert context(*both) == ["volume_shared"]  # together, over the ranks


def test_kinds_on_mounts_of_their_own_are_not():
    assert context([row("/ckpt", {"checkpoints": "open"}), row("/cache", {"cache": "told"})]) == []


def test_the_hosts_own_disk_and_memory_are_no_volumes():
    everything = dict.fromkeys(("checkpoints", "cache", "data", "diagnostics"), "open")
    assert context(*[[row("/", everything, "overlay", False, root=True)]] * 2) == []
    assert context([row("/scratch", everything, "tmpfs", False)]) == []


def test_data_over_a_network_is_flagged_for_several_ranks_that_have_it_open():
    assert context([row("/data", READ)], [row("/data", READ)]) == ["data_read_over_a_network"]
    assert context(*[[row("/data", {"data": "mapped"}, "fuse.s3fs")]] * 3) == ["data_read_over_a_network"]
    assert context([row("/data", READ)]) == []  # one rank that reads for all
    assert context(*[[row("/data", {"data": "told"})]] * 2) == []  # named, not seen to be read
    assert context(*[[row("/data", READ, "xfs", False)]] * 2) == []


@pytest.mark.parametrize(
    "rows", [None, 3, [3], [{}], [{"point": 3, "holds": {"data": 1}}], [{"point": "/d", "holds": 7}]]
)
def test_rows_that_make_no_sense_are_passed_over(rows):
    assert context(rows) == []

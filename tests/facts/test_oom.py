"""Killed for memory: only the kernel's own word proves it."""

from diagnose.model import Event
from diagnose.pipeline import judge
from diagnose.playbook import load

BOOK = load()


def event(kind, rank=None, time=None, source="agent", where="attempts/1/events/x.jsonl:1", **data):
    return Event(kind=kind, source=source, where=where, rank=rank, time=time, data=data)


def claims(num_ranks=2):
    return [
        event("rank.claimed", r, 1.0, "rank_hook", pid=100 + r, local_rank=r, world_size=num_ranks)
        for r in range(num_ranks)
    ]


def died(rank, time, **data):
    return event("rank.died", rank, time, pid=100 + rank, **data)


def report(pid, time=None, comm="python"):
    return event("kernel.oom_killed", None, time, "kernel_log", "host/kernel.log:6", pid=pid, comm=comm)


def read(rank, time, oom_kill, dead=False, group="/job"):
    data = {"pid": 100 + rank, "group": group, "oom_kill": oom_kill, "dead": dead, "limit": 1 << 30}
    return event("cgroup.read", rank, time, "cgroup", "host/cgroup.json#entry=1", **data)


def quiet():
    return event("kernel.read", None, None, "kernel_log", "host/kernel.log", num_lines=0)


def verdict(*events):
    return judge("run", [*claims(), *events, event("command.ended", None, 20.0, "run", exit_code=1)], BOOK)


def causes(*events):
    return [(c.failure, c.ranks) for c in verdict(*events).causes]


def test_the_kernels_line_names_the_process():
    assert causes(died(1, 10.0, signal=9), report(101, 9.9)) == [("host_oom_kill", [1])]
    assert causes(died(1, 10.0, signal=9), report(101)) == [("host_oom_kill", [1])], "a log without zones"


def test_an_old_line_of_the_same_pid_proves_nothing():
    assert causes(died(1, 90_000.0, signal=9), report(101, 9.9)) == [("rank_killed", [1])]


def test_a_count_that_rose_at_the_death_proves_it():
    reads = [read(1, 5.0, 3), read(1, 10.1, 4, dead=True)]
    assert causes(died(1, 10.0, signal=9), *reads) == [("host_oom_kill", [1])]


def test_a_count_that_stayed_and_a_quiet_kernel_leave_the_sender_unknown():
    reads = [read(1, 5.0, 3), read(1, 10.1, 3, dead=True)]
    found = verdict(died(1, 10.0, signal=9), *reads, quiet())
    assert [(c.failure, c.ranks) for c in found.causes] == [("rank_killed", [1])]
    assert found.unknown == []


def test_without_the_kernels_word_it_is_unknown_and_says_what_would_tell():
    found = verdict(died(1, 10.0, signal=9))
    assert [(c.failure, c.ranks) for c in found.causes] == [("rank_killed", [1])]
    assert [(u.failure, u.missing) for u in found.unknown] == [
        ("host_oom_kill", ["cgroup", "kernel_log", "platform_log"])
    ]


def test_one_kill_in_a_shared_group_does_not_prove_two_deaths():
    both = [died(r, 10.0, signal=9) for r in (0, 1)]
    reads = [read(r, t, n, dead) for r in (0, 1) for t, n, dead in ((5.0, 0, False), (10.1, 1, True))]
    assert causes(*both, *reads) == [("rank_killed", [0, 1])]
    reads = [read(r, t, n, dead) for r in (0, 1) for t, n, dead in ((5.0, 0, False), (10.1, 2, True))]
    assert causes(*both, *reads) == [("host_oom_kill", [0, 1])]


def test_in_a_container_the_kernel_knows_another_pid_and_the_time_tells():
    assert causes(died(1, 10.0, signal=9), report(48113, 9.8)) == [("host_oom_kill", [1])]
    assert causes(died(1, 10.0, signal=9), report(48113, 500.0)) == [("rank_killed", [1])]
    two = [died(r, 10.0, signal=9) for r in (0, 1)]
    assert causes(*two, report(48113, 9.8)) == [("rank_killed", [0, 1])], "which of the two is not told"


def test_a_launchers_sigkill_is_no_lack_of_memory():
    events = [died(0, 10.0, exit_code=1), died(1, 41.0, signal=9)]
    raised = event("exception.raised", 0, 9.5, "rank_hook", type="ValueError", message="bad", frames=[])
    assert causes(raised, *events, read(1, 5.0, 0), read(1, 41.1, 0, dead=True)) == [("rank_exception", [0])]


def test_a_loader_workers_end_for_memory_is_its_ranks():
    text = "DataLoader worker (pid 4242) is killed by signal: Killed. "
    own = event("exception.raised", 1, 30.0, "rank_hook", type="RuntimeError", message=text, frames=[])
    assert causes(own, died(1, 31.0, exit_code=1), report(4242, 27.0)) == [("host_oom_kill", [1])]
    reads = [read(1, 5.0, 0), read(1, 28.0, 1), read(1, 30.1, 1), read(1, 31.1, 1, dead=True)]
    assert causes(own, died(1, 31.0, exit_code=1), *reads) == [("host_oom_kill", [1])]
    assert causes(own, died(1, 31.0, exit_code=1), quiet()) == [("dataloader_stalled", [1])]


def test_a_scheduler_passes_the_kernels_word_on():
    told = event("scheduler.oom_told", None, None, "launcher_log", "slurm.out:9", num_kills=1)
    assert causes(died(1, 10.0, signal=9), told) == [("host_oom_kill", [1])]
    assert causes(*(died(r, 10.0, signal=9) for r in (0, 1)), told) == [("rank_killed", [0, 1])]


SANDBOX = [
    event("source.unavailable", None, 1.0, "cgroup", reason="gVisor's own"),
    event("source.unavailable", None, 1.0, "kernel_log", reason="gVisor's own text"),
]


def unknown(found):
    return {item.failure for item in found.unknown}


def test_counters_that_a_sandbox_keeps_at_zero_rule_nothing_out():
    """The host kills the whole sandbox, or a process of it; no file in there would tell."""
    reads = [read(1, 5.0, 0), read(1, 10.1, 0, dead=True)]
    real, there = verdict(died(1, 10.0, signal=9), *reads), verdict(died(1, 10.0, signal=9), *reads, *SANDBOX)
    assert "host_oom_kill" not in unknown(real) and "host_oom_kill" in unknown(there)
    assert there.coverage["cgroup"].refused == [0, 1] and not there.coverage["cgroup"].present
    assert set(there.coverage["cgroup"].reason.values()) == {"gVisor's own"}
    assert there.coverage["kernel_log"].refused == [0, 1]


def test_a_hosts_log_that_was_brought_counts_in_a_sandbox_too():
    found = verdict(died(1, 10.0, signal=9), *SANDBOX, quiet(), report(101, 9.9))
    assert [(c.failure, c.ranks) for c in found.causes] == [("host_oom_kill", [1])]
    assert found.coverage["kernel_log"].present == [0, 1]


def test_a_sandboxs_text_in_the_place_of_the_log_is_told_as_such():
    fiction = event(
        "source.unreadable", None, None, "kernel_log", reason="a sandbox's own text", sandbox=True
    )
    found = verdict(died(1, 10.0, signal=9), fiction)
    assert found.coverage["kernel_log"].reason == {"0": "a sandbox's own text", "1": "a sandbox's own text"}
    assert "host_oom_kill" in unknown(found)

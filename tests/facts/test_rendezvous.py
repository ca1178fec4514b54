"""Start-up: a rank that waits in the rendezvous is a victim; who never came to it is not."""

import pytest

from diagnose.model import Event
from diagnose.pipeline import judge
from diagnose.playbook import load
from diagnose.rendezvous import said

BOOK = load()
MISSING = "Timed out after 13 seconds waiting for clients. 2/3 clients joined."
NO_KEY = "wait timeout after 12000ms, keys: /default_pg/0//cpu//0/0"
NO_ANSWER = "The client socket has timed out after 12000ms while trying to connect to (10.0.0.1, 29500)."
TAKEN = (
    "The server socket has failed to listen on any local network address. port: 29500, useIpv6: false, "
    "code: -98, name: EADDRINUSE, message: address already in use"
)


def event(kind, rank=None, time=None, source="rank_hook", **data):
    where = f"attempts/1/events/rank-{rank or 0:05d}-000001.jsonl:{int(time or 0) + 1}"
    return Event(kind=kind, source=source, where=where, rank=rank, time=time, data=data)


def rank(num, size=3, start=10.0, ok=None, end=22.0, address="tcp://node-0:29500", backend="gloo"):
    """What one rank's hook says of its start: it began to join, and perhaps ended that."""
    told = {"phase": "init_process_group", "num": 1}
    return [
        event("rank.claimed", num, 1.0, pid=100 + num, world_size=size),
        event("phase.started", num, start, **told, world_size=size, address=address, backend=backend),
        *([] if ok is None else [event("phase.ended", num, end, **told, ok=ok)]),
    ]


def raised(num, message, time=22.0, type="DistStoreError"):
    return event("exception.raised", num, time, type=type, message=message, frames=["train.py:9 in main"])


def look(ranks, time=16.0):
    """A stall, and a look at these ranks."""
    states = [event("proc.dumped", r, time, "agent", dir="100", state="S", syscall=7) for r in ranks]
    stall = event("job.stalled", None, time, "agent", silent_s=4.0, ranks=ranks)
    return [stall, *states, event("evidence.taken", None, time, "agent", cause="stalled", time_dirs=["100"])]


def died(num, time=23.0):
    return event("rank.died", num, time, "agent", exit_code=1)


def verdict(*parts):
    events = [e for part in parts for e in (part if isinstance(part, list) else [part])]
    return judge("run", events, BOOK)


def causes(*parts):
    return [(c.failure, c.ranks) for c in verdict(*parts).causes]


def test_the_rank_that_never_came_is_named_and_never_those_that_wait():
    story = [rank(0, ok=False), rank(1, ok=False), raised(0, MISSING), raised(1, NO_KEY), died(0), died(1)]
    for parts in (story, [*story, look([0, 1])]):
        assert causes(*parts) == [("rank_never_started", [2])]
        assert verdict(*parts).symptom == "will_not_start"
        assert [c.failure for c in verdict(*parts).aftermath] == ["rendezvous_timeout"]


def test_a_stall_in_the_rendezvous_is_judged_before_the_timeout():
    found = verdict(rank(0), rank(1), look([0, 1]))
    assert [(c.failure, c.ranks) for c in found.causes] == [("rank_never_started", [2])]
    assert found.symptom == "will_not_start"
    assert found.waits[0].awaited == [2]


def test_a_rank_that_is_there_and_does_not_join_is_awaited():
    idle = [event("rank.claimed", 2, 1.0, pid=102, world_size=3)]
    assert causes(rank(0), rank(1), idle, look([0, 1, 2])) == [("collective_not_joined", [2])]


def test_a_late_rank_is_no_cause_once_the_job_went_on():
    late = rank(2, start=18.0, ok=True, end=18.1)
    went_on = event("job.progressed", None, 19.0, "agent", after_s=8.0, ranks=[0, 1])
    early = [*rank(0, ok=True, end=18.1), *rank(1, ok=True, end=18.1)]
    assert causes(early, look([0, 1]), late, went_on) == []


def test_nobody_is_missing_where_rank_0_got_through():
    """Ranks of another host, whose evidence was not collected: gloo's rendezvous needs all of them."""
    through = [rank(0, ok=True), rank(1, ok=True)]
    assert causes(*through, look([0, 1], 90.0)) == []


def test_without_a_hook_the_stacks_tell_that_ranks_wait_in_the_rendezvous():
    frames = ["_create_c10d_store (rendezvous.py:199)", "init_process_group (distributed_c10d.py:1892)"]
    found = [
        event("rank.found", r, 5.0, "agent", pid=100 + r, world_size=3, how="environment") for r in (0, 1)
    ]
    stacks = [
        Event(kind="stack.read", source="stack_dump", where=f"stacks/100/rank-0000{r}.json", rank=r,
              data={"main": frames, "paths": [], "dir": "100"})
        for r in (0, 1)
    ]  # fmt: skip
    taken = event("evidence.taken", None, 16.0, "agent", cause="asked", time_dirs=["100"])
    told = verdict(found, stacks, taken)
    assert [(c.failure, c.ranks, c.grade) for c in told.causes] == [("rank_never_started", [2], "likely")]
    assert told.symptom == "will_not_start"
    visit = event("attach.started", None, 4.0, "agent", stall_after_s=120.0)
    for still_s, named in ((5.0, []), (150.0, [("rank_never_started", [2])])):
        procs = [event("proc.dumped", r, 15.0, "agent", dir="100", still_s=still_s) for r in (0, 1)]
        gone = event("ranks.missing", None, 4.0, "agent", ranks=[2], reason="no process here is this rank")
        for more in ([], [gone]):
            assert causes(found, stacks, taken, [visit], procs, more) == named, "it may yet be started"


def test_a_world_size_left_in_the_environment_misses_nobody_where_nobody_waits():
    lone = event("rank.claimed", 0, 1.0, pid=100, world_size=8)
    assert "rank_never_started" not in [name for name, _ in causes(lone, look([0]))]


def test_a_count_that_does_not_fit_names_nobody():
    """One log of four ranks, and three of four joined: two others are only not in the bundle."""
    line = Event(
        kind="store.clients_missing", source="rank_log", where="rank-0.log:3", rank=0,
        data={"joined": 3, "expected": 4, "wait_s": 30},
    )  # fmt: skip
    assert causes([line]) == [("rank_never_started", [])]


def test_two_logs_and_a_count_that_fits_name_the_third():
    lines = [
        Event(kind="exception.raised", source="rank_log", where=f"rank-{r}.log:9", rank=r,
              data={"type": "torch.distributed.DistStoreError", "message": text, "frames": ["a.py:1 in f"]})
        for r, text in ((0, MISSING), (1, NO_KEY))
    ]  # fmt: skip
    assert causes(lines) == [("rank_never_started", [2])]


def test_ranks_that_were_told_different_world_sizes():
    story = [rank(0), rank(1, size=4, ok=False), rank(2), raised(1, NO_KEY), died(1)]
    assert causes(*story, look([0, 1, 2])) == [("rendezvous_misconfigured", [1])]
    assert causes(rank(0, size=2), rank(1), look([0, 1])) == [("rendezvous_misconfigured", [])]


def test_two_worlds_that_meet_at_different_places_do_not_disagree():
    engine = [rank(r, size=2, address="tcp://node-0:4711", ok=True, end=11.0) for r in (0, 1)]
    trainer = [rank(r, size=4, ok=True, end=11.0) for r in (2, 3)]
    assert causes(*engine, *trainer, look([0, 1, 2, 3])) == []


def test_a_later_job_of_another_size_in_the_same_run_is_no_disagreement():
    first = [*rank(1, size=2, ok=True, end=11.0), event("rank.died", 1, 20.0, "agent", exit_code=0)]
    second = rank(0, size=1, start=30.0)
    assert "rendezvous_misconfigured" not in [name for name, _ in causes(first, second, look([0], 40.0))]


def test_nobody_answers_at_the_address():
    apart = [rank(0, address="tcp://node-0:29501", ok=False), rank(1, ok=False), rank(2)]
    words = [raised(0, MISSING.replace("2/3", "1/3")), raised(1, NO_ANSWER, type="DistNetworkError")]
    found = verdict(*apart, *words, died(0), died(1), look([0, 1, 2]))
    assert [(c.failure, c.ranks, c.grade) for c in found.causes] == [("rendezvous_unreachable", [], "proven")]
    same = [rank(0, ok=False), rank(1, ok=False), rank(2)]
    assert causes(*same, *words, look([0, 1, 2])) == [("rendezvous_unreachable", [])]


def test_where_rank_0_never_came_or_failed_nobody_can_answer():
    words = [raised(r, NO_ANSWER, type="DistNetworkError") for r in (1, 2)]
    waiting = [rank(r, ok=False) for r in (1, 2)]
    assert causes(*waiting, *words, died(1), died(2)) == [("rank_never_started", [0])]
    boom = raised(0, "no module named numpy", 5.0, "ImportError")
    came = [event("rank.claimed", 0, 1.0, pid=100, world_size=3), boom, died(0, 5.5)]
    assert causes(*waiting, *words, came) == [("rank_exception", [0])]


def test_one_log_of_a_rank_that_got_no_answer_does_not_tell_whether_rank_0_came():
    line = Event(
        kind="store.unreachable", source="rank_log", where="rank-1.log:3", rank=1,
        data={"host": "node-0", "port": 29500},
    )  # fmt: skip
    assert causes([line]) == [("rendezvous_unreachable", [])]


def test_one_host_may_have_several_names():
    ranks = [rank(0, address="tcp://localhost:29500"), rank(1, address="tcp://10.0.0.1:29500"), rank(2)]
    assert "rendezvous_unreachable" not in [name for name, _ in causes(*ranks, look([0, 1, 2]))]


def test_a_taken_port_is_not_the_fault_of_the_rank_that_says_so():
    story = [rank(0, ok=False, end=10.1), raised(0, TAKEN, 10.1, "DistNetworkError"), died(0, 10.5), rank(1)]
    assert causes(*story, look([1])) == [("rendezvous_address_in_use", [])]


def test_a_launcher_that_cannot_listen_is_heard_though_no_rank_ever_came():
    line = Event(
        kind="store.address_taken", source="launcher_log", where="launcher.log:7", data={"port": 29500}
    )
    found = verdict([line])
    assert [(c.failure, c.ranks) for c in found.causes] == [("rendezvous_address_in_use", [])]
    assert found.symptom == "will_not_start"


def test_a_traceback_of_a_try_that_was_made_again_is_no_failure():
    tried = Event(
        kind="exception.raised", source="rank_log", where="rank-1.log:3", rank=1,
        data={"type": "DistNetworkError", "message": NO_ANSWER, "frames": ["a.py:1 in f"]},
    )  # fmt: skip
    ended = event("command.ended", None, 90.0, "run", exit_code=0)
    assert causes([tried], rank(0, ok=True), rank(1, ok=True), rank(2, ok=True), ended) == []


def test_a_line_of_a_try_before_another_failure_is_no_second_cause():
    line = event("store.unreachable", 1, None, "rank_log", host="node-0", port=29500)
    hung = event("nccl.watchdog_timed_out", 1, None, "rank_log", seq=3, op="ALLREDUCE")
    assert causes(line, hung) == []


def test_lines_of_tries_that_were_made_again_are_no_failure_of_a_job_that_trained():
    line = event("store.unreachable", 1, None, "rank_log", host="node-0", port=29500)
    ended = event("command.ended", None, 90.0, "run", exit_code=0)
    assert causes([line], rank(0, ok=True), rank(1, ok=True), rank(2, ok=True), ended) == []


def test_an_exception_before_the_rendezvous_is_the_cause_and_a_crash():
    boom = event("exception.raised", 2, 9.0, type="ImportError", message="no such thing", frames=["a.py:1"])
    claim = event("rank.claimed", 2, 1.0, pid=102, world_size=3)
    found = verdict(rank(0), rank(1), claim, boom, died(2, 9.5), look([0, 1]))
    assert [(c.failure, c.ranks) for c in found.causes] == [("rank_exception", [2])]
    assert found.symptom != "will_not_start"


@pytest.mark.parametrize(
    ("text", "kind", "data"),
    [
        (MISSING, "store.clients_missing", {"wait_s": 13, "joined": 2, "expected": 3}),
        (
            "Timed out initializing process group in store based barrier on rank: 0, for key: "
            "store_based_barrier_key:1 (world_size=8, worker_count=9, timeout=0:30:00)",
            "store.clients_missing",
            {"expected": 8, "joined": 9},
        ),
        (NO_KEY, "store.key_missing", {"wait_ms": 12000, "keys": "/default_pg/0//cpu//0/0"}),
        (NO_ANSWER, "store.unreachable", {"wait": "12000ms", "host": "10.0.0.1", "port": 29500}),
        (TAKEN, "store.address_taken", {"port": 29500}),
        (
            "RuntimeError: The server socket has failed to listen on any local network address. The server "
            "socket has failed to bind to [::]:29500 (errno: 98 - Address already in use). The server socket "
            "has failed to bind to ?UNKNOWN? (errno: 98 - Address already in use).",
            "store.address_taken",
            {"port": 29500},
        ),
        (
            "zmq.error.ZMQError: Address already in use (addr='tcp://10.0.0.1:5555')",
            "store.address_taken",
            {"host": "10.0.0.1", "port": 5555},
        ),
        (
            "Gloo connectFullMesh failed with [../third_party/gloo/gloo/transport/tcp/pair.cc:144] no error",
            "gloo.connect_failed",
            {"reason": "no error"},
        ),
        (
            "RuntimeError: The client socket has timed out after 60s while trying to connect to (n0, 29500).",
            "store.unreachable",
            {"wait": "60s", "host": "n0", "port": 29500},
        ),
        (
            "[5] is setting up NCCL communicator and retreiving ncclUniqueId from [0] via c10d key-value "
            "store by key '0', but store->get('0') got error: Socket Timeout",
            "store.key_missing",
            {"keys": "0"},
        ),
        ("RuntimeError: Socket Timeout", "store.key_missing", {}),
        ("RuntimeError: Address already in use", "store.address_taken", {}),
        (
            "node-1:81:95 [0] bootstrap.cc:45 NCCL WARN Bootstrap : no socket interface found",
            "nccl.interface_missing",
            {"interface": "no socket interface found"},
        ),
        (
            "node-1:81:95 [0] misc/socket.cc:483 NCCL WARN socketStartConnect: Connect to 10.0.0.7<43211> "
            "failed : Software caused connection abort",
            "nccl.connect_failed",
            {"peer": "10.0.0.7", "port": 43211, "reason": "Software caused connection abort"},
        ),
        (
            "[2024-11-24 07:00:00] node-1:81 [0] misc/socket.cc:556 NCCL WARN socketPollConnect: Connect to "
            "10.0.0.7<43211> returned 113(No route to host) errno 115(Operation now in progress)",
            "nccl.connect_failed",
            {"peer": "10.0.0.7", "port": 43211, "reason": "No route to host"},
        ),
        (
            "[enforce fail at ../third_party/gloo/gloo/transport/tcp/device.cc:84] ifa != nullptr. "
            "Unable to find address for: ^lo",
            "gloo.address_missing",
            {"interface": "^lo"},
        ),
    ],
)
def test_the_words_of_the_rendezvous(text, kind, data):
    assert said(text) == (kind, data)


@pytest.mark.parametrize(
    "text",
    [
        "Address already in use\nPort 6006 is in use by another program",
        "The IPv6 network addresses of (node-0, 29500) cannot be retrieved (gai error: -2 - Name or service "
        "not known).",
        "[Errno 110] Connection timed out",
        "OSError: [Errno 98] Address already in use",  # any server of the program
        "[c10d] The client socket has failed to connect to [node-0]:29500 (errno: 111 - Connection refused).",
        "[c10d] The client socket cannot be initialized to connect to [::]:29500 (errno: 97 - Address family "
        "not supported by protocol).",
        "TCP client failed to connect/validate to host 127.0.0.1:29615 - retrying (try=0, timeout=6000ms)",
        "[gloo/transport/tcp/unbound_buffer.cc:78] Timed out waiting 5000ms for recv operation to complete",
    ],
)
def test_what_only_looks_like_it(text):
    assert said(text) is None


def test_a_store_for_fewer_workers_than_came_serves_two_jobs():
    text = "Timed out in store based barrier on rank 0 (world_size=2, num_workers_joined=3, timeout=0:00:30)"
    found = verdict(rank(0, size=2, ok=False), rank(1, size=2), raised(0, text))
    assert [(c.failure, c.ranks) for c in found.causes] == [("rendezvous_misconfigured", [])]

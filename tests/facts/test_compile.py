"""Compile skew and divergence from hand-made looks."""

import msgspec
import pytest

from diagnose.model import Event
from diagnose.pipeline import judge
from diagnose.playbook import load

BOOK = load()
COMPILE = [
    "communicate (subprocess.py:1209)",
    "_run_compile_cmd (cpp_builder.py:540)",
    "compile_fx (compile_fx.py:1)",
]
WAIT = ["all_reduce (distributed_c10d.py:3252)", "wrapper (c10d_logger.py:81)", "step (train.py:9)"]


def event(kind, rank=None, time=None, source="agent", where="attempts/1/events/x.jsonl:1", **data):
    return Event(kind=kind, source=source, where=where, rank=rank, time=time, data=data)


def look(late, num_ranks=4, frames=COMPILE, grows=True):
    """A stall at 20.0 with two scans: `late` compile since 8.0, the others wait in all_reduce #2."""
    events = [
        event("rank.claimed", r, 1.0, "rank_hook", pid=10 + r, world_size=num_ranks) for r in range(num_ranks)
    ]
    events += [event("phase.started", r, 8.0, "rank_hook", phase="compile") for r in range(num_ranks)]
    events += [
        event("phase.ended", r, 10.0, "rank_hook", phase="compile") for r in range(num_ranks) if r not in late
    ]
    for folder in ("20", "22"):
        for rank in range(num_ranks):
            launched = 1 if rank in late else 2
            rows = [[s, "all_reduce|[[10]]|Float", 5.0 * s, s == 1, 60.0] for s in range(1, launched + 1)]
            events += [
                event(
                    "flight.group_read",
                    rank,
                    float(folder),
                    "flight_recorder",
                    f"attempts/1/flight/{folder}/rank-{rank:05d}.json",
                    group="",
                    desc="default_pg",
                    launched=launched,
                    completed=1,
                    entries=rows,
                ),
                event(
                    "stack.read",
                    rank,
                    float(folder),
                    "stack_dump",
                    f"attempts/1/stacks/{folder}/rank-{rank:05d}.json",
                    main=frames if rank in late else WAIT,
                    paths=[],
                    active=False,
                ),
            ]
            count = 11 if rank in late else 24
            before = count - 4 if grows and rank in late else count
            events.append(event("rank.sampled", rank, 12.0, cache_files=before, children=[], num_steps=0))
            events.append(event("rank.sampled", rank, 19.0, cache_files=count, children=[], num_steps=0))
    stall = event("job.stalled", None, 20.0, silent_s=6.0, ranks=list(range(num_ranks)))
    return [*events, stall, event("evidence.taken", None, 22.5, cause="stalled", time_dirs=["20", "22"])]


def verdict(*events):
    return judge("run", list(events), BOOK)


def test_one_rank_compiles_and_the_others_wait_is_skew_with_an_estimate_and_the_time_left():
    found = verdict(*look({3}))
    assert [(c.failure, c.ranks, c.grade) for c in found.causes] == [("compile_skew", [3], "proven")]
    assert found.symptom == "slow" and found.exit_code() == 1
    text = next(c.text for c in found.causes[0].evidence if c.fact == "compile.alone")
    assert "catches up in about" in text and "times out in" in text
    assert [(w.waiting, w.awaited, w.seq) for w in found.waits] == [([0, 1, 2], [3], 2)]


def test_the_wait_that_ended_is_still_named():
    ended = [
        event("phase.ended", 3, 30.0, "rank_hook", phase="compile"),
        event("job.progressed", None, 30.5, after_s=16),
    ]
    done = event("command.ended", None, 40.0, "run", exit_code=0)
    found = verdict(*look({3}), *ended, done)
    assert [(c.failure, c.ranks) for c in found.causes] == [("compile_skew", [3])]
    assert found.symptom == "slow"
    assert "compiled for 22 s while ranks 0-2 waited" in found.causes[0].evidence[0].text


def timeouts():
    text = (
        "[gloo/transport/tcp/unbound_buffer.cc:78] Timed out waiting 20000ms for recv operation to complete"
    )
    return [
        event(
            "exception.raised",
            r,
            30.0 + r / 10,
            "rank_hook",
            type="RuntimeError",
            message=text,
            frames=["a:1"],
        )
        for r in range(3)
    ]


def test_the_timeout_that_fires_before_the_compile_ends_is_divergence():
    died = [event("rank.died", r, 31.0, exit_code=1) for r in range(3)] + [
        event("rank.died", 3, 32.0, signal=15)
    ]
    found = verdict(*look({3}), *timeouts(), *died, event("command.ended", None, 33.0, "run", exit_code=1))
    assert [(c.failure, c.ranks) for c in found.causes] == [("compile_divergence", [3])]
    assert found.symptom == "hang"


def test_a_compile_that_ended_before_the_timeout_is_not_its_cause():
    ended = event("phase.ended", 3, 24.0, "rank_hook", phase="compile")
    assert "compile_divergence" not in [c.failure for c in verdict(*look({3}), ended, *timeouts()).causes]


def test_two_late_ranks_are_both_named():
    assert [(c.failure, c.ranks) for c in verdict(*look({1, 3})).causes] == [("compile_skew", [1, 3])]


def test_everybody_compiling_is_no_cause():
    events = [e for e in look({0, 1, 2, 3}) if e.kind != "phase.ended"]
    found = verdict(*events, *[event("rank.sampled", r, 20.0, busy_s=0.9, interval_s=1.0) for r in range(4)])
    assert found.causes == [] and [c.failure for c in found.context] == [
        "compiles_everywhere",
        "slow_not_stuck",
    ]
    assert found.symptom == "slow" and found.exit_code() == 0


def test_a_second_burst_of_everybody_is_told_as_such():
    """The backward pass that is compiled lazily, near step 100, is no first step."""
    events = [
        msgspec.structs.replace(e, data={**e.data, "step": 100}) if e.kind == "phase.started" else e
        for e in look({0, 1, 2, 3})
        if e.kind != "phase.ended"
    ]
    work = [event("rank.sampled", r, 20.0, busy_s=0.9, interval_s=1.0) for r in range(4)]
    [told] = [c for c in verdict(*events, *work).context if c.failure == "compiles_everywhere"]
    assert "ranks 0-3 compile once more after 100 steps at the same time" in told.evidence[0].text


@pytest.mark.parametrize("calls", [{202}, {98}])
def test_a_lock_in_user_code_is_named_when_nothing_moves(calls):
    frames = ["load (train.py:31)", "main (train.py:60)"]
    events = [e for e in look({3}, frames=frames) if e.kind != "phase.started"]
    still = [
        event("proc.dumped", 3, float(d), state="S", syscall=next(iter(calls)), cpu_s=4.0, dir=d)
        for d in ("20", "22")
    ]
    assert [(c.failure, c.ranks) for c in verdict(*events, *still).causes] == [("user_lock_deadlock", [3])]


def test_a_stopped_process_is_named():
    events = [e for e in look({3}, frames=["main (train.py:60)"]) if e.kind != "phase.started"]
    events = [e for e in events if not (e.kind == "flight.group_read" and e.rank == 3)]
    stopped = [
        event("proc.dumped", 3, float(d), state="T", syscall=None, cpu_s=4.0, dir=d) for d in ("20", "22")
    ]
    assert [(c.failure, c.ranks) for c in verdict(*events, *stopped).causes] == [("rank_frozen", [3])]


def test_a_compile_of_which_nothing_moves_is_only_likely_to_end():
    [cause] = judge("run", look([3], grows=False), BOOK).causes
    assert (cause.failure, cause.ranks, cause.grade) == ("compile_skew", [3], "likely")


def test_compilers_at_work_everywhere_are_slow_though_the_ranks_use_no_cpu():
    events = [e for e in look({0, 1, 2, 3}) if e.kind != "phase.ended"]
    work = [
        event("rank.sampled", r, t, busy_s=0.0, interval_s=1.0, cpu_s=5.0, children_cpu_s=t)
        for r in range(4)
        for t in (19.0, 20.0, 21.0)
    ]
    found = verdict(*events, *work)
    assert found.symptom == "slow" and found.causes == [] and found.exit_code() == 0
    assert "slow_not_stuck" in [c.failure for c in found.context]


def test_a_short_wait_at_the_end_of_a_compile_that_all_made_is_no_skew():
    """Rank 3 is the last of four cold ranks: the others have waited for a small part of its compile."""
    stuck = look({3})
    late = [
        msgspec.structs.replace(e, time=e.time - 200.0) if e.kind == "phase.started" else e for e in stuck
    ]
    assert [c.failure for c in verdict(*stuck).causes] == ["compile_skew"]
    found = verdict(*late)
    assert found.causes == [] and "compiles_unevenly" in [c.failure for c in found.context]

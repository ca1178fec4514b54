"""What an awaited rank waits for outside the job, and ranks that wait for each other's file locks."""

from diagnose import behind
from diagnose.model import Event
from tests.facts import doing
from tests.facts.doing import SCANS, TRAIN, proc, silent, stack

PEER = {"does": "read", "name": "10.0.0.9:443", "holders": []}
MAIN = [("fetch", TRAIN)]


def texts(verdict):
    return [c.text for cause in verdict.causes for c in cause.evidence]


def child(cpu_s=1.0, io_bytes=0, inner=()):
    who = [{"pid": 77, "words": "tar cf x"}]
    return {
        "does": "child",
        "name": "",
        "holders": who,
        "cpu_s": cpu_s,
        "io_bytes": io_bytes,
        "behind": [*inner],
    }


def words(*ends):
    return behind.told([proc(1, s, behind=list(ends)) for s in SCANS])


def test_each_wait_has_its_words():
    assert words(PEER) == "reads from 10.0.0.9:443"
    pipe = {"does": "write", "name": "pipe:[7]", "holders": [{"pid": 5, "words": "x", "rank": 2}]}
    assert words(pipe) == "writes to a pipe, read by rank 2"
    assert words({**pipe, "does": "read", "holders": []}) == "reads from a pipe that nobody else has open"
    assert (
        words({**pipe, "does": "read", "fd": 0})
        == "reads from its standard input (a pipe), written by rank 2"
    )
    lock = {"does": "lock", "name": "/a.lock", "holders": [{"pid": 5, "words": ""}]}
    assert words(lock) == "waits for the file lock /a.lock, held by process 5"
    assert (
        words(child(inner=[pipe]))
        == "waits for its process 77 (tar cf x) which writes to a pipe, read by rank 2"
    )
    assert words({"does": "open", "name": "/feed", "pipe": True}) == "opens /feed, a named pipe"
    assert words({"does": "open", "name": "/mnt/shard"}) == "opens /mnt/shard"


def test_what_only_one_scan_shows_or_nobody_can_read_is_not_told():
    assert behind.told([proc(1, SCANS[0], behind=[PEER]), proc(1, SCANS[1])]) == ""
    assert behind.told([proc(1, s, behind=["x", {"does": 7, "holders": "y"}]) for s in SCANS]) == "7 None"
    assert behind.works([proc(1, s, behind=[{"does": "child", "holders": [{}]}]) for s in SCANS]) is False


def test_a_rank_whose_child_works_is_slow_and_one_whose_child_does_not_is_blocked():
    still = [e for s in SCANS for e in (stack(1, s, MAIN), proc(1, s, behind=[child()]))]
    assert doing.job(*still) == [("collective_not_joined", [1], "proven")]
    busy = [
        e
        for s, moved in zip(SCANS, (0, 10**7), strict=True)
        for e in (stack(1, s, MAIN), proc(1, s, behind=[child(io_bytes=moved)]))
    ]
    assert doing.job(*busy) == [("rank_at_work", [1], "proven")]
    told = {"type": "ValueError", "message": "bad", "thread": "MainThread", "frames": ["train.py:9 in main"]}
    failed = Event("exception.raised", "rank_hook", "errors/rank-00000.json", 110.0, rank=0, data=told)
    assert "rank_at_work" not in [f for f, *_ in doing.job(*busy, failed)]


def test_who_holds_the_lock_that_all_others_ask_for_is_named():
    asks = [("acquire", "/v/lib/python3.11/site-packages/filelock/_api.py"), ("fetch", TRAIN)]
    waiter = [e for s in SCANS for e in (stack(1, s, asks), proc(1, s, syscall=230))]
    held = [e for s in SCANS for e in (stack(0, s, MAIN), proc(0, s, locked=["/hub.lock"], behind=[PEER]))]
    verdict = silent(*waiter, *held)
    assert [(c.failure, c.ranks, c.grade) for c in verdict.causes] == [("file_lock_held", [0], "proven")]
    assert "rank 0 holds the file lock /hub.lock that rank 1 waits for" in texts(verdict)
    assert any(text.endswith("not moving: reads from 10.0.0.9:443") for text in texts(verdict))
    moving = [
        e
        for s, n in zip(SCANS, (0, 10**7), strict=True)
        for e in (stack(0, s, MAIN), proc(0, s, locked=["/hub.lock"], io_bytes=n))
    ]
    verdict = silent(*waiter, *moving)
    assert (verdict.symptom, [(c.failure, c.ranks) for c in verdict.causes]) == (
        "slow",
        [("rank_at_work", [0])],
    )


def test_a_compiler_under_a_lock_is_work_of_the_rank_that_holds_it():
    """As torch builds a header that ranks share: one runs the compiler, the others ask for the lock."""
    asks = [("acquire", "/v/lib/python3.11/site-packages/filelock/_api.py"), ("fetch", TRAIN)]
    waiter = [e for s in SCANS for e in (stack(1, s, asks), proc(1, s, syscall=230))]
    pipe = {"does": "read", "name": "pipe:[7]", "holders": [{"pid": 77, "words": "g++"}], "io_bytes": 0}

    def holder(main, *cpu_s):
        ends = [{**pipe, "cpu_s": used} for used in cpu_s]
        return [
            e
            for s, end in zip(SCANS, ends, strict=True)
            for e in (stack(0, s, main), proc(0, s, locked=["/pch.lock"], behind=[end]))
        ]

    works = silent(*waiter, *holder(MAIN, 1.0, 4.0))
    assert (works.symptom, [(c.failure, c.ranks) for c in works.causes]) == ("slow", [("rank_at_work", [0])])
    stands = silent(*waiter, *holder(MAIN, 1.0, 1.0))
    assert [(c.failure, c.ranks) for c in stands.causes] == [("file_lock_held", [0])]
    inductor = [("codegen_and_compile", "/v/site-packages/torch/_inductor/compile_fx.py"), *MAIN]
    compiles = silent(*waiter, *holder(inductor, 1.0, 1.0))
    assert "file_lock_held" not in [c.failure for c in compiles.causes]


def test_of_two_absent_ranks_the_one_that_waits_for_the_others_lock_is_not_blamed():
    lock = {"does": "lock", "name": "/a.lock", "holders": [{"pid": 5, "words": "", "rank": 1}]}
    asking = [e for s in SCANS for e in (stack(2, s, MAIN), proc(2, s, syscall=73, behind=[lock]))]
    held = [e for s in SCANS for e in (stack(1, s, MAIN), proc(1, s, locked=["/a.lock"], behind=[PEER]))]
    verdict = trio(*asking, *held)
    assert [(c.failure, c.ranks) for c in verdict.causes] == [("file_lock_held", [1])]


def trio(*events):
    """Rank 0 waits in a collective that ranks 1 and 2 have not launched."""
    rows = [
        Event(
            "flight.group_read",
            "flight_recorder",
            f"attempts/1/flight/{s}/rank-{r:05d}.json",
            float(s),
            rank=r,
            data={
                "group": "0",
                "desc": "default_pg",
                "launched": 4 + (r == 0),
                "completed": 4,
                "ranks": [0, 1, 2],
            },
        )
        for s in SCANS
        for r in (0, 1, 2)
    ]
    return silent(*rows, *doing.twice(0, doing.ALL_REDUCE, syscall=202), *events, num_ranks=3)

"""Threads of a rank: who holds the GIL, and for which of them the main one waits."""

from diagnose.activity import of_rank
from diagnose.model import Event
from tests.facts.doing import LOADER, LOCKED, SCANS, TORCH, TRAIN, job, look, other, proc, read, stack


def test_a_sleeping_owner_of_the_gil_holds_it():
    own = [("ask", TRAIN)]
    scans = [stack(1, s, own, gil="MainThread", gil_active=False) for s in SCANS]
    assert read(*scans) == ("gil", False)
    assert job(*scans) == [("gil_held", [1], "proven")]


def test_a_busy_owner_of_the_gil_may_be_a_loop_unless_its_interpreter_was_asked_in_vain():
    own = [("fits", TRAIN)]
    scans = [stack(1, s, own, gil="MainThread", gil_active=True, active=True) for s in SCANS]
    assert read(*scans) == ("busy", False)
    asked = Event("interpreter.asked", "agent", "x", 102.0, rank=1, data={"dir": "102", "held": True})
    assert read(*scans, asked) == ("gil", False)
    gave = Event("interpreter.asked", "agent", "x", 102.0, rank=1, data={"dir": "102", "held": False})
    assert read(*scans, gave) == ("busy", False)


def test_a_call_that_spins_without_the_gil_is_no_loop_of_the_program():
    own = [("train_step", TRAIN)]
    spins = [stack(1, s, own, active=True, owns_gil=False) for s in SCANS]
    assert read(*spins) == ("native", False)
    assert job(*spins) == [("collective_not_joined", [1], "proven")]
    other_line = stack(1, "102", own, active=True, owns_gil=False, line=8)
    assert read(spins[0], other_line) == ("busy", True)
    assert read(spins[0], stack(1, "102", own, active=True, owns_gil=True)) == ("busy", False)


def test_another_thread_that_holds_the_gil_is_named():
    own = [("Queue.get", "/usr/lib/python3.11/queue.py"), ("main", TRAIN)]
    scans = [stack(1, s, own, gil="heartbeat", gil_active=False) for s in SCANS]
    found = of_rank(look(*scans), 1, False)
    assert found and (found.is_, found.caller) == ("gil", "Queue.get (x.py:1) in the thread heartbeat")


def test_a_compile_that_holds_the_gil_is_a_compile():
    own = [("compile_fx", TORCH + "_inductor/compile_fx.py"), ("main", TRAIN)]
    assert read(*(stack(1, s, own, gil="MainThread", gil_active=False) for s in SCANS)) == ("compile", False)


JOIN = [("Thread.join", "/usr/lib/python3.11/threading.py"), ("main", TRAIN)]


def test_a_main_thread_that_waits_for_the_training_thread_does_what_that_one_does():
    trainer = other("trainer", LOADER, active=False)
    library = other("watcher", [("run", "/usr/lib/python3.11/threading.py")], active=False)
    states = [proc(1, s, **LOCKED) for s in SCANS]
    assert read(*(stack(1, s, JOIN, others=[trainer, library]) for s in SCANS), *states) == ("loader", False)
    busy = other("trainer", [("augment", TRAIN)], active=True)
    assert read(*(stack(1, s, JOIN, others=[busy]) for s in SCANS), *states) == ("busy", False)


def test_which_of_several_threads_the_main_one_waits_for_is_not_guessed():
    two = [other("reader", [("read", TRAIN)]), other("heartbeat", [("beat", TRAIN)])]
    states = [proc(1, s, **LOCKED) for s in SCANS]
    assert read(*(stack(1, s, JOIN, others=two) for s in SCANS), *states) == ("lock", False)

"""What a kernel's log said on other days than the job's is not of the job; what may be of it stays."""

from diagnose.days import of_the_job
from diagnose.model import Event

XID = "NVRM: Xid (PCI:0000:4e:00): 79, GPU has fallen off the bus."


def kept(at: int, job: list[int], days: list[int], boots: list[int]) -> bool:
    """Whether an event of the day `at`, at line 5 of its log, is one of the job's."""
    events = [
        Event("log.read", "rank_log", "rank0.log", data={"days": job}),
        Event("gpu.xid", "kernel_log", "kern.log:5", data={"text": XID, "day": at}),
        Event("kernel.read", "kernel_log", "kern.log", data={"days": days, "boots": boots}),
    ]
    return events[1] in of_the_job(events)


def test_what_was_said_before_a_boot_or_in_a_log_that_goes_on_to_the_job_is_set_aside() -> None:
    assert not kept(56, [64, 64], [56, 57], [9])
    assert not kept(56, [64, 64], [56, 63], [])


def test_what_is_near_or_has_nothing_after_it_stays() -> None:
    assert kept(63, [64, 64], [63, 64], [9])
    assert kept(56, [64, 64], [56, 57], [])
    assert kept(56, [64, 64], [56], [2])


def test_a_job_goes_on_for_days_and_over_new_year() -> None:
    assert kept(60, [50, 64], [60, 64], [9])
    assert kept(1, [365, 2], [1, 2], [9])
    assert not kept(300, [365, 2], [300, 1], [])


def test_where_a_log_has_no_days_or_none_that_make_sense_all_stays() -> None:
    assert kept(56, [], [56, 64], [9])
    assert kept(56, [64, 1], [56, 64], [9])
    for odd in ("x", None, [None, 3], ["a", "b"], 7):
        events = [
            Event("log.read", "rank_log", "rank0.log", data={"days": odd}),
            Event("gpu.xid", "kernel_log", "kern.log:5", data={"day": odd}),
            Event("kernel.read", "kernel_log", "kern.log", data={"days": odd, "boots": odd}),
        ]
        assert list(of_the_job(events)) == events

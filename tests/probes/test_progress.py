"""When a silence is a stall, told by times alone."""

from hypothesis import given
from hypothesis import strategies as st

from probes.watching.progress import Progress, Silence, Stall


def silence(after: float = 10.0, first: float = 100.0, ranks: int = 2) -> Silence:
    one = Silence(after, first)
    for rank in range(ranks):
        one.add(rank, 1000.0)
    return one


def test_a_job_that_never_gave_a_signal_is_never_called_stalled() -> None:
    assert silence().check(99999.0) is None


def test_before_the_first_step_the_longer_threshold_holds() -> None:
    one = silence()
    one.moved(0, 1001.0, "phase")
    assert one.check(1050.0) is None
    one.moved(0, 1051.0, "step")
    told = one.check(1062.0)
    assert isinstance(told, Stall) and told.ranks == [0, 1] and told.threshold_s == 10.0


def test_a_second_compile_burst_has_the_patience_of_the_first_step() -> None:
    one = silence()
    one.moved(0, 1000.5, "step")
    one.is_long = True
    assert one.check(1050.0) is None
    assert isinstance(one.check(1101.0), Stall)
    one.is_long = False
    one.moved(0, 1102.0, "step")
    one.check(1102.5)
    assert isinstance(one.check(1113.0), Stall)


def test_one_silent_rank_among_moving_ones_is_a_stall_of_that_rank() -> None:
    one = silence(ranks=4)
    for rank in (0, 1, 3):
        one.moved(rank, 1029.0, "step")
    told = one.check(1030.0)
    assert isinstance(told, Stall) and told.ranks == [2]


def test_a_lasting_stall_is_told_again_at_twice_and_four_times_the_threshold_only() -> None:
    one = silence()
    one.moved(0, 1000.5, "step")
    told = [t for t in range(1001, 1100) if one.check(float(t)) is not None]
    assert [t - 1000 for t in told] == [10, 20, 40, 80]


def test_the_first_move_ends_the_stall_and_gives_the_others_time_to_follow() -> None:
    one = silence()
    one.moved(0, 1000.5, "step")
    assert isinstance(one.check(1012.0), Stall)
    one.moved(1, 1013.0, "step")
    told = one.check(1013.5)
    assert isinstance(told, Progress) and told.ranks == [1]
    assert one.check(1014.0) is None
    again = one.check(1024.0)
    assert isinstance(again, Stall) and again.ranks == [0, 1] and again.silent_s > 23


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0.1, 8.0)), min_size=1, max_size=60))
def test_ranks_that_all_move_often_enough_are_never_called_stalled(moves: list[tuple[int, float]]) -> None:
    one, now = silence(ranks=4), 1000.0
    for _, pause in moves:
        now += pause
        for rank in range(4):
            one.moved(rank, now, "step")
        assert one.check(now + 0.5) is None

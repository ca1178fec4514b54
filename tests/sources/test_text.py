"""Lines come out whole and numbered, however the bytes arrive."""

from io import BytesIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from diagnose import stamps, text, wrappers

quick = settings(
    max_examples=100,
    derandomize=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
)
pieces = st.lists(
    st.sampled_from([b"a", b"\n", b"\r\n", b"\xc3\xa9", b"\xff", b"\x00", b"word ", b"\xe2\x82", b"x" * 9])
)


@quick
@given(found=pieces, size=st.integers(1, 7))
def test_lines_do_not_depend_on_where_reads_end(found: list[bytes], size: int) -> None:
    data = b"".join(found)
    whole = data.decode("utf-8", "replace").replace("\0", "")
    expected = [line.removesuffix("\r") for line in whole.split("\n")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "CHUNK", size)
        got = list(text.lines(BytesIO(data)))
    assert [number for number, _ in got] == list(range(1, len(got) + 1))
    assert [line for _, line in got] == (expected if whole.split("\n")[-1] else expected[:-1])


@quick
@given(lengths=st.lists(st.integers(0, 12), max_size=8), size=st.integers(1, 9))
def test_long_lines_are_cut_and_never_joined(lengths: list[int], size: int) -> None:
    data = b"".join(b"y" * n + b"\n" for n in lengths)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "CHUNK", size)
        patch.setattr(text, "LINE_LIMIT", 5)
        got = [len(line) for _, line in text.lines(BytesIO(data))]
    assert got == [min(n, 5) for n in lengths]


@quick
@given(line=st.text(max_size=80))
def test_unwrapping_any_line_leaves_its_end(line: str) -> None:
    found = wrappers.unwrap(line)
    assert line.endswith(found.text)


@quick
@given(stamp=st.text(alphabet="0123456789-:TZ+. ,EIW", max_size=30))
def test_any_time_stamp_is_a_time_or_nothing(stamp: str) -> None:
    assert isinstance(stamps.seconds(stamp, 2026), float | None)
    assert stamps.has_zone(stamp) in (True, False)


@pytest.mark.parametrize(
    ("stamp", "month_and_day"),
    [
        ("E616 10:00:00", "06-16"),
        ("E1206 10:00:00", "12-06"),
        ("E111 10:00:00", "01-11"),
        ("E0825 10:00:00", "08-25"),
    ],
)
def test_glogs_months_are_not_padded(stamp: str, month_and_day: str) -> None:
    assert stamps.seconds(stamp, 2026) == stamps.seconds(f"2026-{month_and_day}T10:00:00Z")


@pytest.mark.parametrize(
    ("line", "rank", "is_local"),
    [
        ("[default3]:boom", 3, True),
        ("[rank4]:[E304 11:23:55.2 ProcessGroupNCCL.cpp:757] boom", 4, False),
        ("(EngineCore_DP0/Worker_TP11 pid=404) boom", None, False),
        ("(EngineCore_DP0 pid=404) ERROR boom", None, False),
        ("(RayTrainWorker pid=77, ip=10.0.0.2) [rank5]: boom", 5, False),
        ("[1,6]<stderr>:boom", 6, False),
        ("12: boom", 12, False),
        ("  7: [default1]:[rank57]: boom", 57, False),
        ("2026-08-24T10:00:00.123456789Z [rank2]: boom", 2, False),
        ("[2026-08-24 10:00:00,123] [default2]:boom", 2, True),
        ("boom [rank3]:", None, False),
        ("12:30 boom", None, False),
    ],
)
def test_wrappers_of_launchers_tell_the_rank(line: str, rank: int | None, is_local: bool) -> None:
    found = wrappers.unwrap(line)
    assert (found.rank, found.is_local) == (rank, is_local)

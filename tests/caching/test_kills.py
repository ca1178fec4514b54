"""Seeding and capture, killed anywhere, and by several at once: the old cache is there, or the new one."""

import errno
import fcntl
import multiprocessing
import os
import random
import signal
import sys
from pathlib import Path

import pytest

from diagnose.caching import placing, verifying
from diagnose.caching.places import Cache
from tests.caching.conftest import content
from tests.caching.seeding import LIMIT_S, begin, captured, ended, in_child, is_whole, seeded

NUM_SEEDERS = 8


def counting(stop: int, pipe: int, work, *arguments) -> None:
    """Run it, and tell how often it touched files; at the time `stop` this process is gone."""
    count = 0

    def touched(event: str, _: object) -> None:
        nonlocal count
        count += event == "open" or event.startswith(("os.", "shutil.", "ctypes.call"))
        if count == stop:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(touched)
    work(*arguments)
    told = count
    os.write(pipe, str(told).encode())


def num_points(work, *arguments) -> int:
    """How many points there are at which it can be killed."""
    reader, writer = os.pipe()
    assert in_child(counting, -1, writer, work, *arguments) == 0
    told = int(os.read(reader, 100))
    os.close(reader)
    os.close(writer)
    return told


def chosen(num: int, how_many: int) -> list[int]:
    return sorted(random.Random(8).sample(range(1, num), min(how_many, num - 1)))


OLD = {"fxgraph/a/old": b"old"}


def place(top: Path, before: dict[str, bytes]) -> Cache:
    """A cache with these files."""
    for name, data in before.items():
        (top / "inductor" / name).parent.mkdir(parents=True)
        (top / "inductor" / name).write_bytes(data)
    return Cache(inductor=top / "inductor", triton=None)


def anew(good, cache, limits):
    return seeded(good, cache, limits, replace=True)


def kills(how_many: int, good, top: Path, limits, before: dict[str, bytes]) -> None:
    """Kill a seeding at so many points: the cache is the old one, or the new one, and can be seeded after."""
    top.mkdir()
    num = num_points(anew, good, place(top / "whole", before), limits)
    for point in chosen(num, how_many):
        cache = place(top / str(point), before)
        assert in_child(counting, point, -1, anew, good, cache, limits) == -signal.SIGKILL
        old = placing.beside(cache.inductor, "old")
        now = content(old if old.exists() and not cache.inductor.exists() else cache.inductor)
        assert now == before or is_whole(cache.inductor), f"half a cache, killed at {point} of {num}"
        assert anew(good, cache, limits).source and is_whole(cache.inductor)
        assert [p.name for p in cache.inductor.parent.iterdir() if p.name != "inductor"] == [
            ".inductor.seed-lock"
        ]


@pytest.mark.parametrize("before", [{}, OLD], ids=["cold", "old"])
def test_killed_anywhere_it_leaves_the_old_cache_or_the_new_one(before, good, tmp_path, limits):
    kills(4, good, tmp_path / "k", limits, before)


def test_killed_where_two_folders_cannot_be_exchanged(good, tmp_path, limits, monkeypatch):
    monkeypatch.setattr(placing, "exchange", lambda one, other: False)
    kills(4, good, tmp_path / "k", limits, OLD)


@pytest.mark.slow
@pytest.mark.parametrize("can_exchange", [True, False])
@pytest.mark.parametrize("before", [{}, OLD], ids=["cold", "old"])
def test_killed_at_fifty_random_points(before, can_exchange, good, tmp_path, limits, monkeypatch):
    if not can_exchange:
        monkeypatch.setattr(placing, "exchange", lambda one, other: False)
    kills(50, good, tmp_path / "k", limits, before)


def capture_kills(how_many: int, warm, limits, top: Path) -> None:
    """Kill a capture at so many points: there is no archive, or a whole one, and no draft after the next."""
    top.mkdir()
    num = num_points(captured, warm, limits, top / "whole")
    for point in chosen(num, how_many):
        folder = top / str(point)
        assert in_child(counting, point, -1, captured, warm, limits, folder) == -signal.SIGKILL
        for path in folder.glob("*.tar.zst"):
            verifying.whole(path, limits)
        captured(warm, limits, folder)
        assert not list(folder.glob(".*")), f"a draft stays, killed at {point} of {num}"


def test_a_killed_capture_leaves_no_half_archive(warm, limits, tmp_path):
    capture_kills(4, warm, limits, tmp_path / "k")


@pytest.mark.slow
def test_a_capture_killed_at_fifty_random_points(warm, limits, tmp_path):
    capture_kills(50, warm, limits, tmp_path / "k")


def together(good, cold, limits, prepare=lambda num: None):
    """Eight that seed one cache at the same time; their exit codes."""
    gate = multiprocessing.get_context("fork").Event()

    def one(num: int) -> None:
        prepare(num)
        gate.wait()
        found = seeded(good, cold, limits)
        assert found.puts

    pids = [begin(one, num) for num in range(NUM_SEEDERS)]
    gate.set()
    return [ended(pid) for pid in pids]


def test_eight_ranks_seed_at_once(good, cold, limits):
    assert together(good, cold, limits) == [0] * NUM_SEEDERS
    assert is_whole(cold.inductor) and not list(cold.inductor.parent.glob(".inductor.seed-*-*"))


def test_containers_without_a_common_lock_seed_at_once(good, cold, limits):
    """On a volume locks are each container's own: only the rename decides."""

    def apart(num: int) -> None:
        os.environ["MODAL_TASK_ID"] = f"ta-{num}"

        def none(*_: object) -> None:
            raise OSError(errno.ENOLCK, "No locks available")

        fcntl.flock = none  # type: ignore[assignment]

    assert together(good, cold, limits, apart) == [0] * NUM_SEEDERS
    assert is_whole(cold.inductor) and not list(cold.inductor.parent.glob(".inductor.seed-*-*"))


def test_who_waits_for_another_is_told_so_and_a_dead_holder_holds_nobody_up(good, cold, limits):
    cold.inductor.parent.mkdir(parents=True)
    gate = multiprocessing.get_context("fork").Event()

    def hold() -> None:
        with placing.turn(cold.inductor, print):
            gate.set()
            signal.pause()

    pid = begin(hold)
    assert gate.wait(LIMIT_S)
    said = []

    def say(line: str) -> None:
        said.append(line)
        os.kill(pid, signal.SIGKILL)

    assert seeded(good, cold, limits, say=say).source
    assert ended(pid) == -signal.SIGKILL
    assert said == ["somebody else seeds this cache: waiting for that"]

"""Seeding: from the first place that fits, whole or not at all, whoever else does so meanwhile."""

import errno
import fcntl
import json
import multiprocessing
import os
import random
import signal
import sys
import time
from pathlib import Path

import msgspec
import pytest

from diagnose.caching import capture, notes, placing, seed, verifying
from diagnose.caching.manifest import Refused
from diagnose.caching.places import Cache
from tests.caching.conftest import CARRIED, FILES, HERE, KEY, content

NUM_SEEDERS = 8
GROUP = f"{KEY}/__grp__kernel.json"


def seeded(good, cold, limits, **more):
    return seed.seed(cold, [good.parent], HERE, limits, **more)


def is_whole(folder: Path) -> bool:
    """Whether it holds just what the archive held, with Triton's paths made to fit."""
    found = content(folder)
    group = json.loads(found.pop(GROUP, b"{}"))
    return (
        group == {"child_paths": {"kernel.cubin": str(folder / KEY / "kernel.cubin")}}
        and found == {name: FILES[name] for name in CARRIED - {GROUP}}
    )  # fmt: skip


def test_a_good_cache_is_in_the_new_place_and_fits_there(good, cold, limits):
    found = seeded(good, cold, limits)
    assert [(put.part, put.what) for put in found.puts] == [("inductor", "seeded")]
    assert is_whole(cold.inductor)
    assert (cold.inductor / "7s" / "c7s1.main.so").stat().st_mode & 0o100
    assert not (cold.inductor / "fv" / "cfv1.py").stat().st_mode & 0o100
    assert [p.name for p in cold.inductor.parent.iterdir()] == [
        ".inductor.seed-lock",
        "inductor",
    ] or not list(cold.inductor.parent.glob(".inductor.seed-*-*"))
    told = notes.seed(cold)
    assert told.source == str(good) and told.manifest.lane == "training" and told.manifest.run == "train-1"
    assert verifying.seeded(cold) == verifying.Seeded(str(good), len(CARRIED), [], [])


def test_what_is_changed_or_gone_since_is_seen(good, cold, limits):
    seeded(good, cold, limits)
    (cold.inductor / "fv" / "cfv1.py").write_bytes(b"def call(): evil")
    (cold.inductor / "7s" / "c7s1.main.so").unlink()
    (cold.inductor / "fv" / "new.py").write_bytes(b"compiled since")
    found = verifying.seeded(cold)
    assert (found.changed, found.missing) == (["inductor/fv/cfv1.py"], ["inductor/7s/c7s1.main.so"])


def test_the_first_place_that_has_one_that_fits_wins(good, cold, warm, limits, tmp_path):
    other = msgspec.structs.replace(HERE, num_gpus=1)
    bad = capture.capture(warm, capture.describe(warm, other, limits, "training", "x"), tmp_path / "bad")
    empty = tmp_path / "empty"
    empty.mkdir()
    found = seed.seed(cold, [tmp_path / "none", empty, bad, good, warm.inductor], HERE, limits)
    assert found.source == str(good)
    assert [Path(place).name for place, _ in found.refused] == ["none", "empty", bad.name]
    reasons = [reason for _, reason in found.refused]
    assert reasons[2] == "made for something else: num_gpus 1 there, 8 here"


def test_of_a_folder_the_newest_archive_comes_first(good, cold, warm, limits):
    (warm.inductor / "fv" / "newer.py").write_bytes(b"x")
    newer = capture.capture(
        warm, capture.describe(warm, HERE, limits, "training", "2"), good.parent / "newer.tar.zst"
    )
    os.utime(good, (1, 1))
    assert seeded(good, cold, limits).source == str(newer)
    assert (cold.inductor / "fv" / "newer.py").exists()


def test_a_folder_that_is_a_cache_is_copied_file_by_file(warm, cold, limits):
    found = seed.seed(cold, [warm.inductor], HERE, limits)
    assert found.source == str(warm.inductor) and is_whole(cold.inductor)


def test_both_folders_are_seeded_where_triton_has_its_own(warm, cold, limits, tmp_path):
    both = Cache(inductor=warm.inductor, triton=tmp_path / "t")
    (both.triton / "KEY").mkdir(parents=True)
    (both.triton / "KEY" / "k.cubin").write_bytes(b"cubin")
    path = capture.capture(both, capture.describe(both, HERE, limits, "training", ""), tmp_path / "store")
    found = seed.seed(cold, [path], HERE, limits)
    assert {put.part: put.what for put in found.puts} == {"triton": "seeded", "inductor": "seeded"}
    assert content(cold.triton) == {"KEY/k.cubin": b"cubin"}
    alone = Cache(inductor=tmp_path / "alone" / "inductor", triton=None)
    [(_, reason)] = seed.seed(alone, [path], HERE, limits).refused
    assert "this cache has none" in reason and not alone.inductor.exists()


def test_what_is_there_is_kept_unless_it_may_be_replaced(good, cold, limits):
    (cold.inductor / "fxgraph" / "a").mkdir(parents=True)
    (cold.inductor / "fxgraph" / "a" / "b").write_bytes(b"mine")
    (cold.inductor / "locks").mkdir()
    found = seeded(good, cold, limits)
    assert [put.what for put in found.puts] == ["kept"] and not found.source
    assert content(cold.inductor) == {"fxgraph/a/b": b"mine"}
    assert seeded(good, cold, limits, replace=True).source == str(good)
    assert is_whole(cold.inductor)


def test_a_cache_of_locks_alone_is_none(good, cold, limits):
    (cold.inductor / "locks").mkdir(parents=True)
    (cold.inductor / "locks" / "x.lock").touch()
    assert seeded(good, cold, limits).source and is_whole(cold.inductor)


def test_where_two_folders_cannot_be_exchanged_the_old_one_is_moved_away(good, cold, limits, monkeypatch):
    monkeypatch.setattr(placing, "exchange", lambda one, other: False)
    (cold.inductor / "fv").mkdir(parents=True)
    (cold.inductor / "fv" / "old.py").write_bytes(b"old")
    assert seeded(good, cold, limits, replace=True).source and is_whole(cold.inductor)
    assert not placing.beside(cold.inductor, "old").exists()


def test_what_a_killed_one_had_moved_away_takes_its_place_again(good, cold, limits):
    old = placing.beside(cold.inductor, "old")
    (old / "fv").mkdir(parents=True)
    (old / "fv" / "old.py").write_bytes(b"old")
    assert [put.what for put in seeded(good, cold, limits).puts] == ["kept"]
    assert content(cold.inductor) == {"fv/old.py": b"old"}


def test_a_folder_of_somebody_else_beside_the_cache_is_not_used(good, cold, limits, monkeypatch):
    monkeypatch.setattr(seed, "is_ours", lambda folder: False)
    [(_, reason)] = seeded(good, cold, limits).refused
    assert "somebody else's" in reason and not cold.inductor.exists()


def test_a_draft_that_others_may_write_to_is_not_ours(tmp_path):
    (tmp_path / "d").mkdir()
    assert placing.is_ours(tmp_path / "d")
    (tmp_path / "d").chmod(0o777)
    (tmp_path / "l").symlink_to(tmp_path)
    assert not placing.is_ours(tmp_path / "d") and not placing.is_ours(tmp_path / "l")
    assert not placing.is_ours(tmp_path / "none")


def test_where_it_does_not_fit_nothing_is_left(good, cold, limits, monkeypatch):
    def full(path, final, file, stream):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(seed, "write", full)
    [(_, reason)] = seeded(good, cold, limits).refused
    assert reason.endswith("cannot be written: No space left on device")
    assert [path.name for path in cold.inductor.parent.iterdir()] == [".inductor.seed-lock"]


def test_a_mount_point_is_refused_before_anything_is_written(good, cold, limits, monkeypatch):
    cold.inductor.mkdir(parents=True)
    monkeypatch.setattr(Path, "is_mount", lambda path: path == cold.inductor)
    [(_, reason)] = seeded(good, cold, limits).refused
    assert "use a folder below it" in reason


def test_a_broken_off_one_is_gone_on_with(good, cold, limits, monkeypatch):
    written = []
    real = os.open

    def counted(path, flags, *more, **named):
        if flags & os.O_EXCL:
            written.append(Path(path).name)
        return real(path, flags, *more, **named)

    monkeypatch.setattr(os, "open", counted)
    monkeypatch.setattr(seed, "take_place", lambda *_: os._exit(1))
    if (pid := os.fork()) == 0:
        seeded(good, cold, limits)
    assert os.waitpid(pid, 0)[1]
    [draft] = cold.inductor.parent.glob(".inductor.seed-*-*")
    (draft / "fv" / "cfv1.py").write_bytes(b"torn")
    monkeypatch.undo()
    monkeypatch.setattr(os, "open", counted)
    seeded(good, cold, limits)
    assert written == ["cfv1.py"] and is_whole(cold.inductor)


def test_drafts_that_nobody_goes_on_with_go(good, cold, limits):
    old, new = (placing.beside(cold.inductor, f"seed-{name}-host") for name in ("a", "b"))
    for path in (old, new):
        path.mkdir(parents=True)
    os.utime(old, (1, 1))
    seeded(good, cold, limits)
    assert not old.exists() and new.exists()


# Killed, and together


def in_child(work, *arguments) -> int:
    """Run it in a child; its wait status."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work(*arguments)
            code = 0
        finally:
            os._exit(code)
    return os.waitpid(pid, 0)[1]


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
        assert os.WIFSIGNALED(in_child(counting, point, 0, anew, good, cache, limits))
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


def captured(warm, limits, folder):
    return capture.capture(warm, capture.describe(warm, HERE, limits, "training", ""), folder)


def capture_kills(how_many: int, warm, limits, top: Path) -> None:
    """Kill a capture at so many points: there is no archive, or a whole one, and no draft after the next."""
    top.mkdir()
    num = num_points(captured, warm, limits, top / "whole")
    for point in chosen(num, how_many):
        folder = top / str(point)
        assert os.WIFSIGNALED(in_child(counting, point, 0, captured, warm, limits, folder))
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
    """Eight that seed one cache at the same time; their wait statuses."""
    gate = multiprocessing.get_context("fork").Event()

    def one(num: int) -> None:
        prepare(num)
        gate.wait()
        found = seeded(good, cold, limits)
        assert found.puts

    pids = []
    for num in range(NUM_SEEDERS):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                one(num)
                code = 0
            finally:
                os._exit(code)
        pids.append(pid)
    gate.set()
    return [os.waitpid(pid, 0)[1] for pid in pids]


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
    ready, child = os.pipe()
    pid = os.fork()
    if pid == 0:
        with placing.turn(cold.inductor, print):
            os.write(child, b"x")
            time.sleep(60)
        os._exit(0)
    os.read(ready, 1)
    said = []

    def say(line: str) -> None:
        said.append(line)
        os.kill(pid, signal.SIGKILL)

    assert seeded(good, cold, limits, say=say).source
    os.waitpid(pid, 0)
    assert said == ["somebody else seeds this cache: waiting for that"]


# Capture


def test_what_is_of_one_machine_or_moment_is_not_carried(warm, limits):
    found = capture.describe(warm, HERE, limits, "training", "r")
    assert {one.name.removeprefix("inductor/") for one in found.files} == CARRIED
    assert found.kinds == {"autograd": 1, "autotune": 1, "code": 3, "graph": 1, "library": 1, "triton": 1}
    assert found.num_entries == 5


def test_drafts_of_other_containers_are_left_while_they_are_young(warm, limits, tmp_path):
    young, old, dead = (tmp_path / f".x.tar.zst.{who}.7.draft" for who in ("ta-1-", "ta-2-", placing.owner()))
    for path in (young, old, dead):
        path.touch()
    os.utime(old, (1, 1))
    captured(warm, limits, tmp_path)
    assert young.exists() and not old.exists() and not dead.exists()


def test_an_empty_cache_is_not_captured(cold, limits):
    with pytest.raises(Refused, match="nothing compiled"):
        capture.describe(cold, HERE, limits, "training", "")


def test_a_cache_that_changes_meanwhile_leaves_no_archive(warm, limits, tmp_path):
    found = capture.describe(warm, HERE, limits, "training", "")
    (warm.inductor / "fv" / "cfv1.py").write_bytes(b"def call(): else")
    with pytest.raises(Refused, match="has changed meanwhile"):
        capture.capture(warm, found, tmp_path / "store")
    (warm.inductor / "fv" / "cfv1.py").unlink()
    with pytest.raises(Refused, match="does a job still compile"):
        capture.capture(warm, found, tmp_path / "store")
    assert list((tmp_path / "store").iterdir()) == []

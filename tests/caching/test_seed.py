"""Seeding: from the first place that fits, whole or not at all."""

import errno
import fcntl
import os
from pathlib import Path

import msgspec
import pytest

from diagnose.caching import capture, notes, placing, seed, verifying, words
from diagnose.caching.manifest import Refused
from diagnose.caching.places import Cache
from tests.caching.conftest import CARRIED, HERE, content
from tests.caching.seeding import in_child, is_whole, seeded


def test_a_good_cache_is_in_the_new_place_and_fits_there(good, cold, limits):
    found = seeded(good, cold, limits)
    assert [(put.part, put.what) for put in found.puts] == [("inductor", "seeded")]
    assert is_whole(cold.inductor)
    assert (cold.inductor / "7s" / "c7s1.main.so").stat().st_mode & 0o100
    assert not (cold.inductor / "fv" / "cfv1.py").stat().st_mode & 0o100
    assert {p.name for p in cold.inductor.parent.iterdir()} == {".inductor.seed-lock", "inductor"}
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


def test_a_folder_that_does_not_tell_what_it_is_of_is_taken_with_a_warning(warm, good, cold, limits):
    assert not (found := seeded(warm.inductor, cold, limits)).is_told
    assert any(line.startswith("warning") for line in words.seeded(found))
    assert seeded(good, cold, limits, replace=True).is_told


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


def test_where_a_compiler_has_just_begun_nothing_is_taken_from_under_it(good, cold, limits):
    (cold.inductor / "locks").mkdir(parents=True)
    with (cold.inductor / "locks" / "x.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(Refused, match="a compiler is at work"):
            seeded(good, cold, limits)
    draft = cold.inductor / "fxgraph" / "gr" / ".77.140.tmp"
    draft.parent.mkdir(parents=True)
    draft.touch()
    with pytest.raises(Refused, match="a compiler is at work"):
        seeded(good, cold, limits)
    os.utime(draft, (1, 1))  # of one that was killed
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
    monkeypatch.setattr(seed, "take_place", lambda *_: os._exit(7))
    assert in_child(seeded, good, cold, limits) == 7
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

"""The size of compile caches, also of those on a file system that does not answer."""

import itertools
import math
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from probes.watching import cache

from .conftest import wait_for


def until_known(caches: cache.Caches, paths: list[str]) -> cache.Size:
    return wait_for(lambda: caches.measure(paths, 0.0))


def test_files_and_bytes_of_all_folders_count_and_growth_is_seen(tmp_path: Path) -> None:
    (tmp_path / "a" / "deep").mkdir(parents=True)
    (tmp_path / "a" / "deep" / "one.o").write_bytes(b"12345")
    (tmp_path / "b").mkdir()
    paths = [str(tmp_path / "a"), str(tmp_path / "b"), str(tmp_path / "none")]
    caches = cache.Caches()
    assert until_known(caches, paths) == (1, 5)
    (tmp_path / "b" / "two.o").write_bytes(b"1")
    wait_for(lambda: caches.measure(paths, 0.0) == (2, 6))


def test_a_file_that_goes_meanwhile_hides_none_of_the_others(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).write_bytes(name.encode() * (1 + ord(name) - ord("a")))
    sizes = cache._sizes(str(tmp_path))
    first = next(sizes)
    (tmp_path / ("a" if first == 3 else "c")).unlink()
    assert len(list(sizes)) == 1


def test_a_folder_that_does_not_answer_holds_nobody_up_and_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "_sizes", lambda _: time.sleep(60))
    clock = SimpleNamespace(monotonic=itertools.count(100, 10).__next__)  # ten seconds between two looks
    monkeypatch.setattr(cache, "time", clock)
    caches, path = cache.Caches(), str(tmp_path)
    looks = [(caches.measure([path], 0.0), caches.due.get(path), len(caches.walks)) for _ in range(6)]
    assert looks == [(None, None, 1)] * 4 + [(None, math.inf, 0)] * 2, "after thirty seconds it is left alone"

"""Disks and folders: real ones, small ones, full ones, and ones that only can be read."""

import ctypes
import fcntl
import os
import sys
import time

import pytest

from probes.checking import file_systems, trial
from probes.checking.__main__ import chosen
from probes.checks import checkpoint_folder, first_batch, hub_cache, read_speed, write_speed
from tests.preflight.making import crossed, in_child, make, needs_root, outcome, target
from tests.waits import handed

NEW_MOUNTS, READ_ONLY, REMOUNT, PRIVATE, DEEP = 0x20000, 1, 32, 1 << 18, 1 << 14


def mount(folder: str, flags: int = 0, size: str = "1m") -> None:
    """A tmpfs, in a child that has mounts of its own."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not flags & REMOUNT:
        assert libc.unshare(NEW_MOUNTS) == 0
        assert libc.mount(b"none", b"/", None, PRIVATE | DEEP, None) == 0
    assert libc.mount(b"none", folder.encode(), b"tmpfs", flags, f"size={size}".encode()) == 0


@needs_root
def test_a_full_disk_takes_neither_checkpoint_nor_evidence(tmp_path):
    def full() -> str:
        folder = str(tmp_path)
        mount(folder)
        (tmp_path / "rest").write_bytes(b"\0" * ((1 << 20) - 8192))
        on = target(folders=(folder,), TMPDIR=folder, settings={"checkpoint_bytes": 1e9})
        return " ".join(
            outcome(name, on) for name in ("disk_room", "checkpoint_folder", "stop_grace", "write_speed")
        )

    assert in_child(full) == "fail fail warn skip"


@needs_root
def test_a_folder_for_reading_only_is_no_fault_unless_checkpoints_go_there(tmp_path):
    def sealed() -> str:
        folder = str(tmp_path)
        mount(folder)
        mount(folder, READ_ONLY | REMOUNT)
        meant = target(folders=(folder,), settings={"checkpoint_bytes": 1000.0})
        return (
            f"{outcome('checkpoint_folder', target(folders=(folder,)))} {outcome('checkpoint_folder', meant)}"
        )

    assert in_child(sealed) == "skip fail"


def test_a_checkpoint_is_tried_and_nothing_stays(tmp_path):
    assert outcome("checkpoint_folder", target(folders=(str(tmp_path),))) == "pass"
    new = make("checkpoint_folder", target(folders=(str(tmp_path / "later"),)))
    assert new.outcome == "pass" and "not there yet" in " ".join(crossed(new))
    assert (
        outcome("checkpoint_folder", target(folders=(str(tmp_path),), settings={"checkpoint_bytes": 1e18}))
        == "fail"
    )
    assert list(tmp_path.iterdir()) == []
    assert outcome("checkpoint_folder") == "skip"


def test_a_file_system_that_hangs_costs_a_deadline_and_is_a_finding(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint_folder, "LIMIT_S", 0.2)
    monkeypatch.setattr(checkpoint_folder, "attempt", lambda own: time.sleep(60))
    limits = handed(monkeypatch)
    assert outcome("checkpoint_folder", target(folders=(str(tmp_path),))) == "fail"
    assert limits == [0.2] * 3, "to name what is written, to write it, to remove it"


def test_a_folder_that_hangs_costs_one_deadline_for_all_who_would_touch_it(tmp_path, monkeypatch):
    def look(path):
        return time.sleep(60) if path.endswith("hung") else real(path)

    real, hung = file_systems.look, tmp_path / "hung"
    monkeypatch.setattr(file_systems, "look", look)
    monkeypatch.setattr(file_systems, "LIMIT_S", 2.0)
    monkeypatch.setattr(file_systems, "_answers", {})
    on = target(folders=(str(hung), str(tmp_path)), TMPDIR=hung / "t", DIAGNOSE_ROOT=tmp_path)
    told = {part.subject: part for part in make("file_systems_answer", on).subjects}
    assert (told[str(hung)].outcome, told[str(tmp_path)].outcome) == ("fail", "pass")
    for name in ("disk_room", "read_speed", "checkpoint_folder", "file_count", "stop_grace"):
        skips = {part.subject: part.reason for part in make(name, on).subjects if part.outcome == "skip"}
        assert skips[str(hung)] == file_systems.SEE_F08
        assert skips.get(str(hung / "t"), file_systems.SEE_F08) == file_systems.SEE_F08
    assert len(file_systems._answers) == 1, "they were asked once"
    assert trial.wish(on).folders == (str(tmp_path),)
    assert {work.name for work in chosen(["disk_room"])} == {"disk_room", "file_systems_answer"}


def test_disks_are_written_and_read_for_real(tmp_path, monkeypatch):
    for module in (read_speed, write_speed):  # of a busy machine, a little
        monkeypatch.setattr(module, "LIMIT_S", 90.0)
    monkeypatch.setattr(read_speed, "BOX_S", 60.0)
    monkeypatch.setattr(write_speed, "NUM_BYTES", 8 << 20)
    on = target(folders=(str(tmp_path),), TMPDIR=tmp_path, HOME=tmp_path)
    [part, *_] = make("write_speed", on).subjects
    assert part.values["is_done"] is True and float(str(part.values["bytes_per_s"])) > 1e6
    (tmp_path / "model.safetensors").write_bytes(os.urandom(1 << 20) * 32)
    [part] = make("read_speed", on).subjects
    assert part.values["num_bytes"] == 32 << 20 and "model.safetensors" in part.where
    slow = make("read_speed", target(folders=(str(tmp_path),), num_ranks=8, settings={"model_bytes": 1e15}))
    assert any("10 min" in text for text in crossed(slow))
    monkeypatch.setattr(read_speed, "LIMIT_S", 0.2)
    monkeypatch.setattr(read_speed, "read", lambda folder, most: time.sleep(60))
    assert outcome("read_speed", on) == "warn"
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


def test_only_a_lock_that_is_held_holds_up(tmp_path):
    locks = tmp_path / "hub/.locks/models--a--b"
    locks.mkdir(parents=True)
    (tmp_path / "hub/models--a--b/snapshots/1").mkdir(parents=True)
    lock = locks / "0.lock"
    lock.touch()
    os.utime(lock, (0, time.time() - 7200))
    on = target(HF_HOME=tmp_path, num_ranks=8)
    assert make("hub_cache", on).subjects[0].values["num_held"] == 0
    with lock.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert outcome("hub_cache", on) == "warn"
    assert outcome("hub_cache", on) == "pass"
    lock.write_text(f"{os.getpid()}\nhost\n")  # where there is no flock, the file itself is the lock
    os.utime(lock, (0, time.time() - 7200))
    assert outcome("hub_cache", on) == "warn"
    assert not hub_cache.is_held(str(tmp_path / "none"))


def test_offline_without_a_model_cannot_work(tmp_path):
    assert outcome("hub_cache", target(HF_HOME=tmp_path, HF_HUB_OFFLINE=1)) == "fail"
    assert outcome("hub_cache", target(HF_HUB_CACHE=tmp_path / "x", num_ranks=8)) == "warn"
    assert outcome("hub_cache", target(HOME=tmp_path, num_ranks=8)) == "pass"


def test_files_are_counted_in_a_time_box(tmp_path):
    for number in range(30):
        (tmp_path / str(number)).touch()
    [part] = make("file_count", target(folders=(str(tmp_path),), MODAL_TASK_ID="ta-1")).subjects
    assert (part.values["num_files"], part.values["is_modal"]) == (30, True)


def test_a_loader_that_never_answers_is_told(tmp_path, monkeypatch):
    silent = tmp_path / "python3"
    silent.write_text("#!/bin/sh\nexec sleep 60\n")
    silent.chmod(0o755)
    assert outcome("first_batch", target(python="/bin/false", settings={"loader_workers": 2.0})) == "skip"
    assert outcome("first_batch") == "skip"
    monkeypatch.setattr(first_batch, "LIMIT_S", 0.3)
    assert outcome("first_batch", target(python=str(silent), settings={"loader_workers": 2.0})) == "warn"


@pytest.mark.slow
@pytest.mark.torch
def test_a_real_loader_gives_its_first_batch():
    pytest.importorskip("torch")
    on = target(python=sys.executable, settings={"loader_workers": 2.0})
    assert outcome("first_batch", on) == "pass"

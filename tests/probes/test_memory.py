"""Memory cgroups and the kernel's log, in the forms in which machines and containers show them."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from probes import disks, kernel, kmsg, memory, procfs
from probes.watching.held import Held
from probes.watching.host import Host
from probes.watching.rank import Rank
from tests.waits import handed

V2 = {"memory.events": "low 0\nhigh 0\nmax 7\noom 2\noom_kill 2\n", "memory.max": "1073741824\n"}
V1 = {"memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n", "memory.limit_in_bytes": "300\n"}
UNLIMITED = {"memory.events": "oom_kill 0\n", "memory.max": "max\n", "memory.current": "5\n"}
OLD = {
    "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\n",
    "memory.limit_in_bytes": "9223372036854771712\n",
}


def group(folder: Path, files: dict[str, str], is_v1: bool = False) -> memory.Group:
    for name, text in files.items():
        (folder / name).write_text(text)
    return memory.Group("/job", str(folder), is_v1)


def test_counters_of_both_versions(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    told = memory.counters(group(tmp_path, V2))
    assert (told["oom_kill"], told["limit"], told["peak"]) == (2, 1 << 30, None)
    told = memory.counters(group(tmp_path / "1", V1, is_v1=True))
    assert (told["oom_kill"], told["limit"]) == (3, 300)


def test_no_limit_and_no_counter_are_unknown_not_zero(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    told = memory.counters(group(tmp_path, UNLIMITED))
    assert (told["oom_kill"], told["limit"], told["usage"]) == (0, None, 5)
    assert memory.counters(group(tmp_path / "1", OLD, is_v1=True)) == dict.fromkeys(
        ("oom_kill", "limit", "usage", "peak")
    )


def test_an_emulated_kernel_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(procfs, "tells_exit_codes", lambda: False)
    assert memory.group_of(os.getpid()) is None


def test_a_probe_of_its_own_prints_a_line_and_succeeds() -> None:
    done = subprocess.run([sys.executable, "-m", "probes.memory"], capture_output=True, text=True, check=True)
    [line] = map(json.loads, done.stdout.splitlines())
    assert line["event"] in {"memory.read", "memory.refused"}


def test_a_rank_that_dies_is_read_once_more_and_only_news_is_kept(tmp_path: Path, monkeypatch) -> None:
    here = group(tmp_path, V2)
    monkeypatch.setattr(memory, "group_of", lambda pid: here)
    one, host = Rank(1, "1", 4711, 1, "hook", 1, 2), Host(str(tmp_path))
    for _ in range(5):
        host.read(one)
    (tmp_path / "memory.events").write_text("oom_kill 3\n")
    monkeypatch.setattr(memory, "group_of", lambda pid: None)  # it has gone
    host.read(one, is_dead=True)
    told = json.loads((tmp_path / "attempts/1/host/cgroup.json").read_text())["readings"]
    assert [(r["rank"], r["oom_kill"], r["dead"]) for r in told] == [
        (1, 2, False),
        (1, 2, False),
        (1, 3, True),
    ]


def test_the_kernels_log_is_kept_from_now_on_and_without_chatter(tmp_path: Path) -> None:
    log = tmp_path / "kmsg"
    log.write_text("6,1,100,-;Out of memory: Killed process 7 (old)\n")
    found = kernel.Kernel(str(log))
    assert found.read() == [] and found.reason == ""
    with log.open("a") as file:
        file.write("6,2,200,-;python[9]: segfault at 0 ip 00 sp 00 error 4 in libx.so\n SUBSYSTEM=x\n")
    [line] = found.read()
    assert line.endswith("+00:00 python[9]: segfault at 0 ip 00 sp 00 error 4 in libx.so")
    found.close()


def test_records_that_were_overwritten_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [BrokenPipeError, b"6,1,1,-;a\n", BrokenPipeError, b"6,2,2,-;b\n", BlockingIOError]

    def read(fd: int, size: int) -> bytes:
        answer = answers.pop(0)
        if isinstance(answer, bytes):
            return answer
        raise answer

    monkeypatch.setattr(kmsg.os, "read", read)
    assert list(kmsg.records(-1, 50)) == [b"6,1,1,-;a\n", b"6,2,2,-;b\n"]


def test_a_kernels_log_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    host = Host(str(tmp_path))
    host.kernel.close()
    host.kernel = kernel.Kernel(str(tmp_path / "none"))
    host.listen("1")
    assert host.kernel.reason == "No such file or directory"
    assert not (tmp_path / "attempts/1/host/kernel.log").exists(), "an empty log would say: nothing happened"


def test_a_full_file_system_is_named_and_one_with_room_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    room = {"/full": (1, 9), "/inodes": (900, 0), "/fine": (900, 9), "/image": (0, 0)}

    def told(point: str) -> os.statvfs_result:
        blocks, files = room[point]
        flags = os.ST_RDONLY if point == "/image" else 0
        return os.statvfs_result((1024, 1024, 1000, blocks, blocks, 10, files, files, flags, 255))

    monkeypatch.setattr(os, "statvfs", told)
    found = disks.full([disks.Mount(point, "ext4", False) for point in room])
    assert [(row["point"], row["spent"], row["free"]) for row in found] == [
        ("/full", "blocks", 1024),
        ("/inodes", "inodes", 0),
    ]


def test_disks_that_do_not_answer_cost_no_more_than_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "statvfs", lambda point: time.sleep(60))
    limits = handed(monkeypatch)
    assert disks.look() == [] and limits in ([0.3], [0.3, 0.5]), "those of a network's have one of their own"


def test_what_a_job_holds_is_told_when_it_moves_and_once_a_minute() -> None:
    held, me = Held(), os.getpid()
    first = held.sample([me], {me: [1 << 22]}, 0.0)
    assert first["num_processes"] == 2 and first["rss"] > 10 << 20 and first["shm"] is not None
    assert held.sample([me], {}, 3.0) == {}
    more = bytearray(b"x") * (200 << 20)
    assert held.sample([me], {}, 6.0)["rss"] >= first["rss"] + (190 << 20)
    del more
    held.sample([me], {}, 9.0)
    assert held.sample([me], {}, 68.0) == {} and held.sample([me], {}, 69.0)["num_processes"] == 1
    assert held.sample([0], {}, 200.0) == {}, "nobody is known"

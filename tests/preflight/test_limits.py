"""Limits of processes, memory and CPUs: measured where they are really low."""

import contextlib
import os
import resource
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from probes import kmsg, procfs, stacks
from probes.checking import cgroups, places, sleeper
from probes.checks import cpu_throttling, kernel_log, older_ranks, process_files, py_spy, stack_signal
from tests.preflight.making import crossed, free_port, in_child, make, needs_root, outcome, target

CPU = Path("/sys/fs/cgroup/cpu")


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """A busy machine starts a Python late, and gives its stack late."""
    monkeypatch.setattr(sleeper, "START_S", 60.0)
    for check in (py_spy, stack_signal):
        monkeypatch.setattr(check, "LIMIT_S", 60.0)


@pytest.mark.parametrize(
    ("name", "limit", "low", "word"),
    [
        ("stack_size", resource.RLIMIT_STACK, 1 << 20, "8 MiB"),
        ("core_dumps", resource.RLIMIT_CORE, 0, "limit is 0"),
    ],
)
def test_limits_of_a_process_are_those_it_really_has(name, limit, low, word):
    def lowered() -> str:
        resource.setrlimit(limit, (low, resource.getrlimit(limit)[1]))
        return " ".join(crossed(make(name, target())))

    assert word in in_child(lowered) or "program of the host" in in_child(lowered)


def test_memory_is_held_against_what_ranks_will_take():
    few = {"model_bytes": 1e6}
    assert outcome("host_memory", target(num_ranks=2, settings=few)) == "pass"
    many = make("host_memory", target(num_ranks=8, settings={"model_bytes": 1e15, "pinned_bytes": 1e9}))
    assert many.outcome == "fail" and "all ranks" in many.reason


@needs_root
def test_memory_that_a_control_group_allows_counts_not_the_machine_s():
    own = next(
        (Path(path).parent for path in cgroups.files("memory", "memory.limit_in_bytes", "memory.max")), None
    )
    if own is None or not (own / "memory.limit_in_bytes").exists():
        pytest.skip("no control group of the first version")
    group = own / f"diagnose-test-{os.getpid()}"
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(str(256 << 20))

        def inside() -> str:
            (group / "cgroup.procs").write_text(str(os.getpid()))
            [part] = make("host_memory", target()).subjects
            return f"{part.values['size_bytes']} {part.where}"

        assert in_child(inside) == f"{256 << 20} {group}/memory.limit_in_bytes"
    finally:
        remove(group)


@needs_root
def test_a_group_without_cpu_time_is_held_back():
    if not (CPU / "cpu.cfs_quota_us").exists() and not list(CPU.glob("*/cpu.cfs_quota_us")):
        pytest.skip("no control group of the first version")
    group = CPU / f"diagnose-test-{os.getpid()}"
    group.mkdir()
    try:
        (group / "cpu.cfs_quota_us").write_text("5000")

        def inside() -> str:
            (group / "cgroup.procs").write_text(str(os.getpid()))
            burner = os.fork()
            while burner == 0:
                pass
            try:
                [part] = make("cpu_throttling", target()).subjects
                few = make("cores", target(num_gpus=8))
            finally:
                os.kill(burner, 9)
                os.waitpid(burner, 0)
            return f"{part.outcome} {part.where} {few.outcome} {few.subjects[0].values['num_cpus']}"

        told = in_child(inside).split()
        assert told == ["warn", f"{group}/cpu.stat", "fail", "0.05"]
    finally:
        remove(group)
    assert cpu_throttling.share({"nr_periods": 5}, {"nr_periods": 5}) == 0.0


def remove(group: Path) -> None:
    """A group empties when the kernel comes to it, within seconds."""
    for _ in range(250):
        with contextlib.suppress(OSError):
            return group.rmdir()
        time.sleep(0.02)
    group.rmdir()


@pytest.mark.parametrize(
    ("count", "expected"), [("oom_kill 0", "pass"), ("oom_kill 2", "warn"), ("under 1", "skip")]
)
def test_earlier_kills_are_those_of_our_group(tmp_path, monkeypatch, count, expected):
    (tmp_path / "memory.events").write_text(f"low 0\n{count}\n")
    monkeypatch.setattr(cgroups, "files", lambda *names: iter([str(tmp_path / "memory.events")]))
    monkeypatch.setattr(cgroups, "is_root", lambda controller: False)
    assert outcome("earlier_kills") == expected


def test_cores_are_held_against_ranks():
    num = len(os.sched_getaffinity(0))
    assert outcome("cores", target(num_ranks=num)) in {"pass", "warn"}
    assert outcome("cores", target(num_gpus=num * 100)) == "fail"


def test_py_spy_is_tried_on_the_job_s_interpreter(tmp_path, monkeypatch):
    assert make("py_spy", target()).subjects[0].values["is_there"] is True
    assert outcome("py_spy", target(python="/bin/true")) == "skip"
    broken = tmp_path / "py-spy"
    broken.write_text("#!/bin/sh\necho 'Error: Unsupported version of Python: 3.19.0' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(stacks, "find_py_spy", lambda: str(broken))
    result = make("py_spy", target())
    assert result.outcome == "warn" and "3.19" in str(result.subjects[0].values["refusal"])
    monkeypatch.setattr(stacks, "find_py_spy", lambda: None)
    assert outcome("py_spy") == "warn"


def test_a_rank_writes_its_stack_unless_its_python_loads_no_site(tmp_path):
    assert outcome("stack_signal") == "pass"
    without = tmp_path / "python3"
    without.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    without.chmod(0o755)
    assert outcome("stack_signal", target(python=str(without))) == "warn"
    assert outcome("stack_signal", target(DIAGNOSE_SIGNAL="SIGNOTHING")) == "warn"


def test_the_last_evidence_is_written_within_the_grace(tmp_path):
    root = str(tmp_path)
    assert outcome("stop_grace", target(DIAGNOSE_ROOT=root, settings={"platform_grace_s": 30.0})) == "pass"
    assert outcome("stop_grace", target(DIAGNOSE_ROOT=root, settings={"platform_grace_s": 1e-6})) == "warn"
    assert outcome("stop_grace", target(DIAGNOSE_ROOT="/proc", MODAL_TASK_ID="ta-1")) == "warn"
    assert list(tmp_path.iterdir()) == []


def test_a_kernel_log_that_is_refused_or_foreign_is_no_kernel_log(tmp_path, monkeypatch):
    (tmp_path / "kmsg").write_bytes(b"6,0,0,-;Starting gVisor...\n")
    monkeypatch.setattr(kmsg, "DEVICE", str(tmp_path / "kmsg"))
    assert any("gVisor" in text for text in crossed(make("kernel_log", target())))
    monkeypatch.setattr(kmsg, "DEVICE", str(tmp_path / "none"))
    monkeypatch.setattr(kmsg, "ring", lambda: (tmp_path / "none").stat())
    assert any("cannot be read" in text for text in crossed(make("kernel_log", target())))
    assert kernel_log.first("/dev/null") == b""


@needs_root
def test_files_of_proc_that_are_refused_are_told():
    def as_nobody() -> str:
        os.setuid(65534)
        return str(make("process_files", target()).subjects[0].values["lacking"])

    assert "stack" in in_child(as_nobody).split(", ")
    assert process_files.tells("cgroup") and not process_files.tells("no_such")


def test_swap_and_settings_of_memory_are_read():
    assert outcome("swap") in {"pass", "warn"}
    assert outcome("memory_settings") == "pass"


def test_ranks_that_lost_their_launcher_are_found(tmp_path):
    script = tmp_path / f"train_{os.getpid()}.py"
    script.write_text("import time\ntime.sleep(60)\n")
    words = f"[sys.executable, {str(script)!r}], stdout=subprocess.DEVNULL"
    launcher = f"import subprocess, sys; print(subprocess.Popen({words}).pid)"
    environ = {**os.environ, "RANK": "0", "WORLD_SIZE": "2", "PYTHONPATH": ""}
    started = subprocess.run(
        [sys.executable, "-c", launcher],
        env=environ,
        stdout=subprocess.PIPE,
        check=True,
        start_new_session=True,
    )
    pid = int(started.stdout)
    try:
        time.sleep(0.1)
        result = make("older_ranks", target(command=("python", script.name)))
        values = result.subjects[0].values
        assert values["num_of_entry"] == 1 and str(pid) in str(values["who"])
        is_orphan = procfs.stat(pid).ppid == 1 and not older_ranks.launches(" ".join(procfs.cmdline(1)), "")
        assert result.outcome == ("fail" if is_orphan else "warn")
    finally:
        os.kill(pid, 9)


def test_a_port_that_somebody_holds_is_told_with_its_holder():
    port = str(free_port())
    with socket.create_server(("127.0.0.1", int(port))):
        command = ("torchrun", "--nnodes=1", "--master-port", port, "train.py")
        result = make("older_ranks", target(command=command))
        assert result.outcome == "fail" and str(os.getpid()) in str(result.subjects[0].values["port_holder"])
    assert make("older_ranks", target(command=command)).subjects[0].values["port_holder"] == ""


WORLD = {
    "RANK": 1,
    "WORLD_SIZE": 2,
    "LOCAL_RANK": 1,
    "LOCAL_WORLD_SIZE": 2,
    "MASTER_ADDR": "n0",
    "MASTER_PORT": 29500,
}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, "pass"),
        ({"SLURM_NTASKS": 2}, "pass"),
        ({"SLURM_NTASKS": 4}, "warn"),
        ({"RANK": 2}, "fail"),
        ({"LOCAL_RANK": 2}, "fail"),
        ({"LOCAL_WORLD_SIZE": 8}, "fail"),
        ({"MASTER_PORT": 99999}, "fail"),
        ({"MASTER_PORT": "none"}, "fail"),
        ({"MASTER_ADDR": ""}, "warn"),
    ],
)
def test_what_a_launcher_has_set_fits_together(changed, expected):
    assert outcome("launch_variables", target(**{**WORLD, **changed})) == expected
    assert outcome("launch_variables") == "skip"


def test_what_a_killed_check_left_goes_with_the_next(tmp_path):
    node = os.uname().nodename
    old, new, other = (
        tmp_path / f".diagnose-{name}"
        for name in (f"{node}-4194305-a", f"{node}-4194306-b", "elsewhere-4194307-c")
    )
    for path in (old, new, other):
        path.mkdir()
    os.utime(old, (0, time.time() - 600))
    path = Path(places.shared_name(str(tmp_path)))
    assert path.parent == tmp_path and f"-{os.getpid()}-" in path.name
    assert sorted(tmp_path.iterdir()) == sorted([new, other])

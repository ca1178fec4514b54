"""What a container offers, tried out here; and what each probe falls back to without it."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from probes import deadline, environment, kernel, memory, procfs, stacks
from probes.offered import files, gpus, tracing
from probes.offered.item import Item
from probes.watching import death, process

from .conftest import wait_for

TOP = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "attempts/1/host/environment.json"
    with pytest.MonkeyPatch.context() as patch:  # a busy machine answers, if late
        patch.setattr(environment, "LIMITS_S", dict.fromkeys(environment.LIMITS_S, 60.0))
        environment.write(str(path))
    return json.loads(path.read_bytes())


@pytest.fixture(scope="module")
def items(document):
    return {one["name"]: one for one in document["items"]}


def test_everything_is_asked_and_each_answer_has_its_reason(items):
    """The list of questions to a container that nobody has looked into."""
    assert {
        *("kernel", "sandbox", "uid", "capabilities", "seccomp", "yama", "clock", "kernel_log", "cgroup"),
        *("shm", "pidfd", "ptrace.child", "ptrace.sibling", "ptrace.sibling_allowed", "process_vm_readv"),
        *("py_spy", "nvml", "proc.wchan", "proc.stack", "proc.io", "proc.exit_codes"),
        *(f"signals.{who}.{kind}" for who in ("1", "self") for kind in ("SigBlk", "SigIgn", "SigCgt")),
    } <= set(items)
    assert {one["state"] for one in items.values()} <= {"present", "absent", "refused"}
    lacking = {name for name, one in items.items() if one["state"] != "present"}
    assert all(items[name]["reason"] for name in lacking - {"sandbox"} if not name.startswith("cgroup."))


def test_what_is_told_is_so(items):
    assert items["uid"]["value"] == os.getuid()
    assert items["kernel"]["value"] == Path("/proc/version").read_text().strip()
    assert (items["sandbox"]["state"] == "present") == procfs.is_gvisor()
    assert items["pidfd"]["state"] == "present" and items["ptrace.child"]["state"] == "present"


def test_nothing_of_the_trials_is_left(document):
    wait_for(lambda: deadline.reap() == 0)


def test_what_hangs_or_fails_costs_only_what_comes_behind_it():
    def hang():
        yield Item("x", "present", b"bytes")
        time.sleep(60)

    def fail():
        raise ValueError("x")
        yield

    before, told = environment.bounded(hang, 2.0)
    assert before == Item("x", "present", "b'bytes'") and told.reason == "no answer within 2 s behind x"
    [told] = environment.bounded(fail, 60)
    assert told == Item("test_environment", "refused", None, "it broke off")


def test_fields_of_nvml_are_answers_of_their_own(monkeypatch, tmp_path):
    """A binding that gives one field, refuses one, and never answers the third."""
    (tmp_path / "pynvml.py").write_text(
        "import time\n"
        "def nvmlInit(): pass\n"
        "def nvmlSystemGetDriverVersion(): return b'570.1'\n"
        "def nvmlDeviceGetCount(): return 1\n"
        "def nvmlDeviceGetHandleByIndex(n): return n\n"
        "def nvmlDeviceGetName(g): return 'H200'\n"
        "def nvmlDeviceGetUUID(g): raise RuntimeError('Not Supported')\n"
        "def nvmlDeviceGetPciInfo(g): time.sleep(60)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "pynvml", raising=False)
    found = environment.bounded(gpus.items, 3.0)
    assert found[:4] == [
        Item("nvml", "present", "570.1", ""),
        Item("nvml.gpus", "present", 1, ""),
        Item("nvml.name", "present", "H200", ""),
        Item("nvml.uuid", "refused", None, "Not Supported"),
    ]
    assert found[4].reason.endswith(" behind nvml.uuid") and len(found) == 5


# Fallbacks: what is taken away, and what answers then.


def test_without_pidfd_a_death_is_seen_in_proc(monkeypatch):
    monkeypatch.setattr(os, "pidfd_open", lambda *_: (_ for _ in ()).throw(OSError(38, "no such call")))
    assert tracing.attempt("pidfd", lambda: os.pidfd_open(1)).state == "absent"
    child = subprocess.Popen(["true"])
    ticks = procfs.stat(child.pid).start_ticks
    assert death.open_pidfd(child.pid, ticks) == -1
    assert wait_for(lambda: death.how(child.pid, -1, ticks)) == death.Death(0, None, "zombie")
    child.wait()


def test_where_stat_ends_in_zeros_a_death_has_no_code(monkeypatch):
    monkeypatch.setattr(procfs, "tells_exit_codes", lambda: False)
    child = subprocess.Popen(["true"])
    ticks = procfs.stat(child.pid).start_ticks
    wait_for(lambda: procfs.stat(child.pid).state == "Z")
    assert death.how(child.pid, -1, ticks) == death.Death(None, None, "unknown")
    child.wait()


def test_without_wchan_and_the_like_state_and_cpu_time_remain(monkeypatch):
    monkeypatch.setattr(procfs, "word", lambda *_: None)
    told = process.describe(os.getpid())
    assert (told["wchan"], told["syscall"], told["file"]) == ("", None, "")
    assert told["state"] and told["cpu_s"] > 0 and told["num_threads"] >= 1


def test_without_masks_a_signal_is_sent_only_where_the_hook_holds_the_file(monkeypatch, tmp_path):
    monkeypatch.setattr(procfs, "parse_caught", lambda _: None)
    faults = tmp_path / "faults"
    with faults.open("w") as file:
        asked = os.getpid(), 0, 12, str(faults)
        assert stacks.may_signal(*asked, stack_fd=file.fileno()) == ""
    assert stacks.may_signal(*asked) == "the file for stacks is closed there"


def test_without_ptrace_py_spy_is_refused_and_says_why():
    if os.geteuid() or not shutil.which("setpriv"):
        pytest.skip("needs root and setpriv, to give capabilities away")
    less = ["setpriv", "--bounding-set", "-sys_ptrace", "--inh-caps", "-sys_ptrace", "--reuid", "65534"]
    run = [sys.executable, "-m", "probes.environment"]
    done = subprocess.run([*less, *run], cwd=TOP, capture_output=True, timeout=120)
    told = {line["item"]: line for line in map(json.loads, done.stdout.splitlines())}
    assert "sys_ptrace" not in told["capabilities"]["value"] and told["uid"]["value"] == 65534
    assert told["ptrace.child"]["state"] == "present", "an ancestor's right, unless yama forbids even that"


def test_in_a_sandbox_neither_the_kernels_log_nor_its_counters_are_believed(monkeypatch):
    monkeypatch.setattr(procfs, "is_gvisor", lambda: True)
    assert memory.group_of(os.getpid()) is None
    assert kernel.Kernel("/dev/null").reason and kernel.Kernel("/dev/null").read() == []
    assert [(item.name, item.state) for item in files.cgroup()] == [("cgroup", "refused")]


def test_a_size_that_no_memory_has_is_a_placeholder(monkeypatch):
    class Told:
        f_blocks, f_frsize, f_bfree = 1 << 50, 4096, (1 << 50) - 2

    monkeypatch.setattr(os, "statvfs", lambda _: Told)
    assert files.shm().state == "refused" and files.shm().value == {"used": 8192}


RUNSC = [
    *("runsc", "--root", "TOP/r", "--network=none", "--platform=ptrace", "--ignore-cgroups"),
    *("--overlay=false", "do", "-force-overlay=false", "-cwd", "TOP"),
]


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("runsc"), reason="runsc is not installed")
@pytest.mark.skipif(os.geteuid() != 0, reason="runsc needs root")
def test_in_a_real_gvisor_it_tells_what_is_not_real(tmp_path):
    words = [word.replace("TOP", str(tmp_path)) for word in RUNSC]
    inner = ["env", f"PATH={os.environ['PATH']}", f"PYTHONPATH={TOP}"]
    done = subprocess.run(
        [*words, *inner, sys.executable, "-m", "probes.environment"], capture_output=True, timeout=120
    )
    told = {line["item"]: line for line in map(json.loads, done.stdout.splitlines())}
    assert told["sandbox"]["value"] == "gVisor", done.stderr
    states = {name: line["state"] for name, line in told.items()}
    assert states["kernel_log"] == states["cgroup"] == states["shm"] == "refused"
    assert states["proc.wchan"] == states["proc.stack"] == states["proc.exit_codes"] == "absent"
    assert states["py_spy"] in ("present", "absent") and states["proc.stat"] == "present"

"""Odd programs behave under the hook exactly as without it: same output, same errors, same exit code."""

import sys
from pathlib import Path
from typing import Any

import pytest

from probes import rank_hook

LOOKS_AROUND = """
import sys
print(sorted(name for name in sys.modules if "custom" in name), sys.path, sys.argv, sys.flags)
print([str(finder).partition(" at ")[0] for finder in sys.meta_path if "diagnose" not in repr(finder)])
print(open("/dev/null").fileno(), __name__)
import signal, threading, multiprocessing
print(signal.getsignal(signal.SIGUSR2), signal.signal.__name__)
print(threading.active_count(), multiprocessing.active_children())
"""

PROGRAMS = {
    "looks_around": LOOKS_AROUND,
    "raises": "def f():\n    raise ValueError('no')\nf()\n",
    "raises_chained": "try:\n    1 / 0\nexcept Exception as e:\n    raise RuntimeError('x') from e\n",
    "raises_what_has_no_text": (
        "class Bad(Exception):\n    def __str__(self): raise TypeError('t')\nraise Bad\n"
    ),
    "recurses": "def f(): f()\nf()\n",
    "exits": "import sys\nsys.exit(3)\n",
    "exits_with_text": "import sys\nsys.exit('why')\n",
    "leaves_at_once": "import os\nprint('out', flush=True)\nos._exit(7)\n",
    "aborts": "import os\nos.abort()\n",
    "has_own_excepthook": (
        "import sys\nsys.excepthook = lambda *a: print('mine', a[0].__name__)\nraise KeyError('k')\n"
    ),
    "calls_the_former_excepthook": """
import sys
before = sys.excepthook
def mine(*a):
    print("mine")
    before(*a)
sys.excepthook = mine
raise KeyError("k")
""",
    "forks": """
import os, sys
pid = os.fork()
if pid == 0:
    print("child", flush=True)
    sys.exit(5)
print("parent", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
""",
    "child_of_a_fork_raises": """
import os
pid = os.fork()
if pid == 0:
    raise ValueError("in the child")
print("parent", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
""",
    "child_of_a_fork_is_signalled": """
import os, signal
reading, writing = os.pipe()
pid = os.fork()
if pid == 0:
    os.write(writing, b"x")
    signal.pause()
os.read(reading, 1)
os.kill(pid, signal.SIGUSR2)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
""",
    "uses_the_signal_itself": """
import os, signal
print(signal.getsignal(signal.SIGUSR2))
print(signal.signal(signal.SIGUSR2, lambda *a: print("mine", a[0])))
os.kill(os.getpid(), signal.SIGUSR2)
print(signal.signal(signal.SIGUSR2, signal.SIG_IGN).__name__)
os.kill(os.getpid(), signal.SIGUSR2)
try:
    signal.signal(signal.SIGKILL, signal.SIG_IGN)
except OSError as error:
    print(error)
signal.signal("x", 1)
""",
    "starts_a_child_with_the_signal_ignored": """
import signal, subprocess, sys
signal.signal(signal.SIGUSR2, signal.SIG_IGN)
subprocess.run([sys.executable, "-c", "import signal; print(signal.getsignal(signal.SIGUSR2))"])
""",
    "closes_all_descriptors": """
import os, sys, tempfile
os.closerange(3, 4096)
files = [open("/dev/null") for _ in range(1000)]
print([file.fileno() for file in files])
with tempfile.TemporaryFile() as file:
    file.write(b"x" * 10)
    print(file.tell())
""",
    "execs_itself": """
import os, sys
print(sys.argv[1:], os.getpid() == int(os.environ.get("WAS", os.getpid())), flush=True)
if "again" not in sys.argv:
    os.environ["WAS"] = str(os.getpid())
    os.execv(sys.executable, [sys.executable, __file__, "again"])
""",
    "has_threads": """
import threading, weakref
class Large: pass
seen = []
def bad():
    held = Large()
    seen.append(weakref.ref(held))
    raise ValueError("in a thread")
threads = [threading.Thread(target=bad, name="one"), threading.Thread(target=print, args=("two",))]
for thread in threads:
    thread.start()
    thread.join()
del thread, threads
print(threading.active_count(), "freed" if seen[0]() is None else "kept")
""",
    "forks_in_multiprocessing": """
import multiprocessing as mp
def bad(): raise ValueError("in a process")
p = mp.get_context("fork").Process(target=bad)
p.start()
p.join()
print(p.exitcode)
""",
    "spawns_in_multiprocessing": """
import multiprocessing as mp
def bad(): raise ValueError("in a process")
if __name__ == "__main__":
    p = mp.get_context("spawn").Process(target=bad)
    p.start()
    p.join()
    print(p.exitcode)
""",
    "starts_workers_that_inherit_its_rank": """
import subprocess, sys
print(subprocess.run([sys.executable, "-c", "import os; print(os.environ.get('RANK'))"], capture_output=True))
""",
    "asks_for_a_module_without_importing_it": (
        "import importlib.util as u\n"
        "print(u.find_spec('signal').loader.__class__, u.find_spec('torch').name)\n"
    ),
    "is_interrupted": (
        "import os, signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
    ),
    "is_out_of_descriptors": """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))
files = [open("/dev/null") for _ in range(10)]
print([f.fileno() for f in files])
raise ValueError("full")
""",
}


def assert_same(bare: Any, hooked: Any) -> None:
    assert (hooked.stdout, hooked.stderr, hooked.returncode) == (bare.stdout, bare.stderr, bare.returncode)


@pytest.mark.parametrize("environ", [{"RANK": "0", "LOCAL_RANK": "0"}, {}], ids=["as_rank", "as_command"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_an_odd_program_behaves_as_without_the_hook(
    runner: Any, python: Any, name: str, environ: dict[str, str]
) -> None:
    argv = python(runner.write("train.py", PROGRAMS[name]))
    assert_same(runner.bare(argv, **environ), runner.hooked(argv, **environ))
    assert [e for e in runner.events(0) if e["event"] == "hook.failed"] == []


@pytest.mark.parametrize("options", [["-S"], ["-I"], ["-E"], ["-s", "-B"], ["-X", "dev"], ["-O"]])
def test_interpreter_options_change_nothing(runner: Any, python: Any, options: list[str]) -> None:
    argv = python(*options, runner.write("train.py", LOOKS_AROUND))
    bare, hooked = runner.bare(argv, RANK="0"), runner.hooked(argv, RANK="0")
    if options == ["-S"]:  # PYTHONPATH without `site`: the folder stays, unused
        hooked.stdout = hooked.stdout.replace(f"'{Path(rank_hook.__file__).parent}', ", "")
    assert_same(bare, hooked)


@pytest.mark.parametrize(
    "text",
    ["print('own')\nimport sys\nsys.flag = 1\n", "raise ValueError('own')\n", "import absent_part\n"],
)
def test_the_programs_own_sitecustomize_runs_as_it_would(runner: Any, python: Any, text: str) -> None:
    runner.write("site/sitecustomize.py", text)
    show = "import sitecustomize, sys\nprint(sitecustomize.__file__, getattr(sys, 'flag', None))\n"
    argv = python(runner.write("train.py", show + LOOKS_AROUND))
    own = str(runner.folder / "site")
    assert_same(runner.bare(argv, RANK="0", PYTHONPATH=own), runner.hooked(argv, RANK="0", PYTHONPATH=own))


@pytest.mark.parametrize(
    "text", ["raise ImportError('no such library')\n", "import absent_part\n", "def f():\n    1 / 0\nf()\n"]
)
def test_a_torch_that_fails_to_import_fails_with_the_same_traceback(
    runner: Any, python: Any, text: str
) -> None:
    runner.write("torch/__init__.py", text)
    argv = python(runner.write("train.py", "import torch\n"))
    assert_same(runner.bare(argv, RANK="0"), runner.hooked(argv, RANK="0"))
    assert runner.one(0, "exception.raised")["frames"]


def test_a_program_that_is_not_python_is_left_alone(runner: Any) -> None:
    argv = ["/bin/sh", "-c", "echo out; echo err >&2; exit 3"]
    assert_same(runner.bare(argv, RANK="0"), runner.hooked(argv, RANK="0"))
    assert runner.ranks() == []


@pytest.mark.parametrize("spool", ["/absent/spool", "/proc", "/dev/null", ""])
def test_a_spool_that_cannot_be_written_is_silence(runner: Any, python: Any, spool: str) -> None:
    argv = python(runner.write("train.py", PROGRAMS["raises"]))
    assert_same(runner.bare(argv, RANK="0"), runner.hooked(argv, RANK="0", DIAGNOSE_SPOOL=spool))


def test_a_full_disk_is_silence(runner: Any) -> None:
    argv = ["/bin/sh", "-c", f"trap '' XFSZ; ulimit -f 0; exec {sys.executable} -c 'print(1); 1/0'"]
    assert_same(runner.bare(argv, RANK="0"), runner.hooked(argv, RANK="0"))


def test_a_worker_with_the_same_rank_does_not_claim_it(runner: Any, python: Any) -> None:
    runner.hooked(
        python(runner.write("train.py", PROGRAMS["starts_workers_that_inherit_its_rank"])), RANK="4"
    )
    assert [event["event"] for event in runner.events(4)] == ["rank.claimed", "rank.exiting"]


def test_a_program_that_execs_itself_keeps_its_claim(runner: Any, python: Any) -> None:
    runner.hooked(python(runner.write("train.py", PROGRAMS["execs_itself"])), RANK="4")
    claimed = [event for event in runner.events(4) if event["event"] == "rank.claimed"]
    assert len(claimed) == 2
    assert len({(event["pid"], event["start_ticks"]) for event in claimed}) == 1
    assert claimed[1]["argv"].endswith("again")


def test_a_descendant_with_another_rank_is_a_rank_of_its_own(runner: Any, python: Any) -> None:
    text = "import os, subprocess, sys\n" + "\n".join(
        f"subprocess.run([sys.executable, '-c', 'pass'], env=dict(os.environ, RANK='{rank}'))"
        for rank in (1, 2)
    )
    runner.hooked(python(runner.write("launch.py", text)))
    assert runner.ranks() == ["rank-00001", "rank-00002"]


def test_a_restart_is_an_attempt_of_its_own(runner: Any, python: Any) -> None:
    for restarts in ("0", "2"):
        runner.hooked(python("-c", "pass"), RANK="0", TORCHELASTIC_RESTART_COUNT=restarts)
    assert runner.events(0, "1")[0]["attempt"] == "1"
    assert runner.events(0, "3")[0]["attempt"] == "3"


def test_the_second_of_two_programs_in_a_row_takes_the_rank_over(runner: Any) -> None:
    runner.hooked(["/bin/sh", "-c", f"{sys.executable} -c pass; {sys.executable} -c 'pass;pass'"], RANK="0")
    claimed = [event["argv"][-9:] for event in runner.events(0) if event["event"] == "rank.claimed"]
    assert claimed == ["n -c pass", "pass;pass"]


def test_a_command_without_torch_is_rank_0_once_it_ends(runner: Any, python: Any) -> None:
    runner.hooked(python("-c", "pass"))
    assert [event["event"] for event in runner.events(0)] == ["rank.claimed", "rank.exiting"]
    assert (runner.one(0, "rank.claimed")["how"], runner.one(0, "rank.claimed")["provisional"]) == (
        "command",
        True,
    )


def test_a_python_below_a_script_is_no_rank_unless_it_imports_torch(runner: Any) -> None:
    runner.write("torch.py", "")
    runner.hooked(["/bin/sh", "-c", f"{sys.executable} -c pass; true"])
    assert runner.ranks() == []
    runner.hooked(["/bin/sh", "-c", f"cd {runner.folder}; {sys.executable} -c 'import torch'; true"])
    assert runner.one(0, "rank.claimed")["how"] == "command"


def test_an_exception_is_recorded_even_past_the_programs_own_excepthook(runner: Any, python: Any) -> None:
    runner.hooked(python(runner.write("train.py", PROGRAMS["has_own_excepthook"])), RANK="0")
    assert runner.one(0, "exception.raised")["type"] == "KeyError"


def test_an_exception_of_a_thread_names_the_thread_and_writes_no_error_file(runner: Any, python: Any) -> None:
    runner.hooked(python(runner.write("train.py", PROGRAMS["has_threads"])), RANK="0")
    assert runner.one(0, "exception.raised")["thread"] == "one"
    assert list(Path(runner.spool, "attempts/1/errors").iterdir()) == []


def test_the_signal_writes_the_stacks_and_the_program_goes_on(runner: Any, python: Any) -> None:
    text = "import os, signal\ndef here(): os.kill(os.getpid(), signal.SIGUSR2)\nhere()\nprint('on')\n"
    done = runner.hooked(python(runner.write("train.py", text)), RANK="0")
    assert (done.stdout, done.returncode) == ("on\n", 0)
    assert "in here" in Path(runner.spool, "attempts/1/faults/rank-00000.txt").read_text()


def test_a_signal_that_the_program_took_is_marked_as_taken(runner: Any, python: Any) -> None:
    from probes.rank_hook.diagnose_rank import state

    runner.hooked(python(runner.write("train.py", PROGRAMS["uses_the_signal_itself"])), RANK="0")
    page = state.read(f"{runner.spool}/attempts/1/state/rank-00000.bin")
    assert page is not None and page.usr2_taken and page.is_exiting


def test_no_descriptor_stays_open_but_the_one_for_the_stacks(runner: Any, python: Any) -> None:
    text = """
import os
for number in range(3, 2000):
    if os.path.exists(f"/proc/self/fd/{number}"):
        print(os.readlink(f"/proc/self/fd/{number}"))
"""
    done = runner.hooked(python(runner.write("train.py", text)), RANK="0")
    assert done.stdout == f"{runner.spool}/attempts/1/faults/rank-00000.txt\n"
    assert runner.one(0, "rank.claimed")["stack_fd"] > 900


@pytest.mark.parametrize("name", ["none", "SIGNOSUCH"])
def test_the_signal_can_be_turned_off(runner: Any, python: Any, name: str) -> None:
    runner.hooked(python("-c", "pass"), RANK="0", DIAGNOSE_SIGNAL=name)
    assert runner.one(0, "rank.claimed")["stack_signal"] == 0

"""`diagnose run` passes through what a command says and how it ends, and leaves nothing of it running."""

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time

import msgspec
import pytest

RUN = ("run", "--root", "runs", "--")


@pytest.mark.parametrize("code", [0, 3])
def test_the_commands_exit_code_is_ours(place, code):
    assert place.run(*RUN, "sh", "-c", f"exit {code}").returncode == code
    assert place.record()["exit_code"] == code
    assert place.record()["exit_path"] == "exit"


def test_a_command_that_dies_by_a_signal_gives_128_and_its_number(place):
    assert place.run(*RUN, "sh", "-c", "kill -SEGV $$").returncode == 128 + signal.SIGSEGV
    assert (place.record()["exit_path"], place.record()["signal"]) == ("signal", signal.SIGSEGV)


def test_a_command_that_cannot_be_run_leaves_no_run_behind(place):
    (place.path / "plain.txt").write_text("no program")
    for command, code in (("no-such-command", 127), ("./plain.txt", 126), ("./", 126), ("./none", 127)):
        ended = place.run(*RUN, command)
        assert ended.returncode == code
        assert ended.stderr.count(b"\n") == 1 and command.encode() in ended.stderr
    assert not place.root.exists()


def test_a_command_whose_interpreter_is_missing_is_told_in_one_line(place):
    (place.path / "script").write_text("#!/no/such/interpreter\n")
    (place.path / "script").chmod(0o755)
    ended = place.run(*RUN, "./script")
    assert ended.returncode == 127
    assert b"Traceback" not in ended.stderr
    assert msgspec.json.decode((place.folder / "manifest.json").read_bytes())["state"] == "error"


def test_a_root_that_cannot_be_written_stops_before_the_start(place):
    (place.path / "file").write_text("")
    ended = place.run("run", "--root", "file/runs", "--", "touch", "started")
    assert ended.returncode == 2
    assert b"cannot make a run directory" in ended.stderr
    assert not (place.path / "started").exists()


def test_bytes_pass_unchanged_and_apart(place):
    out, err = bytes(range(256)) * 500, bytes(reversed(range(256))) * 300
    command = place.program(
        "import sys\nsys.stdout.buffer.write(bytes(range(256)) * 500)\n"
        "sys.stderr.buffer.write(bytes(reversed(range(256))) * 300)\n"
    )
    ended = place.run(*RUN, *command)
    assert ended.stdout == out
    assert err in ended.stderr
    log = (place.folder / "attempts/1/logs/launcher.log").read_bytes()
    assert len(log) >= len(out) + len(err)


def test_stdin_reaches_the_command(place):
    (place.path / "in.txt").write_text("words\n")
    with (place.path / "in.txt").open() as given:
        assert place.run(*RUN, "cat", stdin=given).stdout == b"words\n"


def test_the_command_goes_on_when_nobody_reads_our_stdout(place):
    read, write = os.pipe()
    os.close(read)
    command = place.program("for i in range(20000): print('x' * 50)\nopen('done', 'w')\n")
    assert place.run(*RUN, *command, stdout=write).returncode == 0
    os.close(write)
    assert (place.path / "done").exists()


def test_on_a_terminal_the_command_has_a_terminal_of_the_same_size(place):
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 101, 0, 0))
    command = place.program(
        "import os, sys\nprint(sys.stdout.isatty(), sys.stderr.isatty(), *os.get_terminal_size(1))\n"
    )
    process = place.start(*RUN, *command, stdout=theirs, stderr=subprocess.PIPE)
    _, err = process.communicate(timeout=120)
    assert os.read(ours, 100) == b"True False 101 33\r\n"
    assert b"True" not in err
    os.close(ours)
    os.close(theirs)


def test_a_healthy_run_ends_with_one_line(place):
    ended = place.run(*RUN, "true")
    assert ended.stderr.splitlines()[-1].startswith(b"diagnose: nothing wrong found")
    assert len(ended.stderr.splitlines()) == 2
    assert msgspec.json.decode((place.folder / "manifest.json").read_bytes())["state"] == "ok"


def test_the_exit_code_may_be_the_verdicts(place):
    options = ("run", "--root", "runs", "--exit-code", "verdict", "--")
    assert place.run(*options, "true").returncode == 0
    assert place.run(*options, "sh", "-c", "exit 77").returncode == 3


def test_what_the_command_leaves_running_is_ended(place):
    place.run(*RUN, "sh", "-c", "setsid sh -c 'trap \"\" TERM; sleep 300' & sleep 300 & sleep 0.5")
    assert place.processes() == []
    events = [p.read_text() for p in place.folder.glob("attempts/1/events/run-*.jsonl")]
    assert "strays.ended" in "".join(events)


def test_no_folder_of_ours_stays_in_tmp(place):
    place.run(*RUN, "true")
    assert [p.name for p in place.temporary.iterdir()] == []


def test_secrets_are_in_no_file_of_the_run(place):
    place.environ["PYTORCH_ALLOC_CONF"] = "x"
    place.run("run", "--root", "runs", "--", "sh", "-c", ": --password hunter2horse; exit 1")
    texts = b"".join(p.read_bytes() for p in place.folder.rglob("*") if p.is_file())
    assert b"password" in texts and b"hunter2horse" not in texts


def test_an_agent_that_dies_is_started_again(place, wait):
    command = place.program("import os, time\nwhile not os.path.exists('go'): time.sleep(0.05)\n")
    process = place.start(*RUN, *command, stderr=subprocess.DEVNULL)

    def agents():
        """The process of each that began; the events of one are written when it listens."""
        texts = [path.read_bytes() for path in place.path.glob("runs/*/attempts/1/events/agent-*.jsonl")]
        lines = [msgspec.json.decode(line) for text in texts for line in text.splitlines()]
        return [line["pid"] for line in lines if line["event"] == "agent.started"]

    wait(agents)
    os.kill(agents()[0], signal.SIGKILL)
    wait(lambda: len(agents()) == 2, "no second agent")
    (place.path / "go").touch()
    assert process.wait(60) == 0
    assert place.record()["caveats"] == ["the agent was started again"]


def test_the_environment_is_reported_and_the_operators_values_win(place):
    place.environ["TORCH_FR_BUFFER_SIZE"] = "9"
    ended = place.run(*RUN, "sh", "-c", "echo $TORCH_FR_BUFFER_SIZE $TORCH_NCCL_DUMP_ON_TIMEOUT")
    assert ended.stdout == b"9 1\n"
    assert b"kept yours TORCH_FR_BUFFER_SIZE" in ended.stderr
    changes = {c["name"]: c["action"] for c in place.record()["environment"]}
    assert changes["TORCH_FR_BUFFER_SIZE"] == "kept"
    assert changes["TORCH_NCCL_DUMP_ON_TIMEOUT"] == "set"


def test_env_none_sets_only_what_the_hook_needs(place):
    before = set(place.environ)
    ended = place.run("run", "--env", "none", "--root", "runs", "--", "env")
    names = {line.partition(b"=")[0].decode() for line in ended.stdout.splitlines()}
    new = names - before - {"PWD", "OLDPWD", "SHLVL", "_"}
    assert {n for n in new if not n.startswith("DIAGNOSE_")} <= {"PYTHONPATH"}


def test_options_after_the_command_are_the_commands(place):
    assert place.run("run", "--root", "runs", "echo", "--name", "x", "-v").stdout == b"--name x -v\n"
    assert place.run("run", "--nmae", "x", "true").returncode == 2
    assert place.run("run").returncode == 2


@pytest.mark.torch
@pytest.mark.ranks
def test_a_job_of_two_ranks_is_recorded_rank_by_rank(place):
    pytest.importorskip("torch", reason="torch is not installed")
    (place.path / "train.py").write_text(
        "import torch, torch.distributed as dist\n"
        "dist.init_process_group('gloo')\n"
        "layer = torch.nn.Linear(4, 4)\nopt = torch.optim.SGD(layer.parameters(), lr=0.1)\n"
        "for step in range(5):\n"
        "    layer(torch.ones(2, 4)).sum().backward()\n"
        "    for p in layer.parameters(): dist.all_reduce(p.grad)\n"
        "    opt.step()\n"
        "print('rank', dist.get_rank(), 'is done', flush=True)\n"
        "dist.destroy_process_group()\n"
    )
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    begun = time.time()
    ended = place.run(*RUN, *launch, "train.py")
    assert ended.returncode == 0, ended.stderr.decode()
    assert b"nothing wrong found; 2 ranks" in ended.stderr
    assert b"rank 0 is done" in ended.stdout and b"rank 1 is done" in ended.stdout
    record = place.record()
    assert record["attempts"] == [{"attempt": "1", "ranks": [0, 1]}]
    assert [rank["exit_code"] for rank in record["ranks"]] == [0, 0]
    assert all(rank["first_step_s"] > 0 for rank in record["ranks"])
    assert "torch" in record["versions"]
    assert begun < record["started"] < record["ended"]
    logs = {p.name: p.read_text() for p in (place.folder / "attempts/1/logs").iterdir()}
    assert "rank 1 is done" in logs["rank-00001.log"] and "rank 0" not in logs["rank-00001.log"]


def test_a_surface_names_the_run_and_the_attempt(place):
    ended = place.run("run", "--run-dir", "here/r-1", "--attempt", "ta-01", "--", "true")
    assert ended.returncode == 0
    run = place.path / "here/r-1"
    assert [folder.name for folder in (run / "attempts").iterdir()] == ["ta-01"]
    assert msgspec.json.decode((run / "manifest.json").read_bytes())["run"] == "r-1"
    again = place.run("run", "--run-dir", "here/r-1", "--", "touch", "started")
    assert again.returncode == 2 and b"cannot make a run directory" in again.stderr
    assert not (place.path / "started").exists()

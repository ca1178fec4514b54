"""Python stacks of a process that may be stuck: py-spy from outside, faulthandler by a signal where safe."""

import argparse
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from typing import Any

from probes import control, deadline, handlers, procfs
from probes.emit import open_log
from probes.files import atomic_write

PYSPY_HANDLER = "pyspy_dump?nonblocking=1"
Threads = list[dict[str, Any]]


def find_py_spy() -> str | None:
    """py-spy beside this interpreter, else on PATH."""
    beside = os.path.join(os.path.dirname(sys.executable), "py-spy")
    return beside if os.access(beside, os.X_OK) else shutil.which("py-spy")


def py_spy_argv(py_spy: str, pid: int) -> list[str]:
    """Never pauses the process, and works on a stopped one."""
    return [py_spy, "dump", "--json", "--nonblocking", "--pid", str(pid)]


def parse_threads(raw: bytes) -> Threads | None:
    """py-spy's list of threads without values and command lines; None for anything else."""
    try:
        threads = json.loads(raw)
    except ValueError:
        return None
    if not isinstance(threads, list) or not threads or not all(isinstance(one, dict) for one in threads):
        return None
    for thread in threads:
        thread.pop("process_info", None)
        for frame in thread.get("frames") or ():
            frame.pop("locals", None)
    return threads


def parse_text(raw: bytes) -> bytes | None:
    """The text py-spy prints (a control server gives no other form), less the command line; else None.

    >>> parse_text(b'Process 7: python --key x\\nPython v3.11\\n\\nThread 7 (idle): "MainThread"')
    b'Process 7: -\\nPython v3.11\\n\\nThread 7 (idle): "MainThread"'
    """
    head, _, rest = raw.partition(b"\n")
    if not head.startswith(b"Process ") or b"\nThread " not in raw:
        return None
    return head.partition(b":")[0] + b": -\n" + rest


def why_not(outcome: deadline.Outcome) -> str:
    """py-spy's refusal in one line: its causes count, its headline is the same for many of them."""
    if outcome.timed_out:
        return f"no answer within {outcome.seconds:.1f} s"
    text = outcome.stderr.decode(errors="replace").partition("Stack backtrace")[0]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "; ".join(line for line in lines if not line.endswith(":"))[:400] or f"exit code {outcome.code}"


def from_outside(pids: Mapping[int, int], limit_s: float, native: bool = False) -> dict[int, Threads | str]:
    """py-spy on {rank: pid}, all at once: the threads, or the reason why not.

    `native` shows C++ frames, too, and pauses each process for it (a tenth of a second up to a whole one).
    """
    py_spy = find_py_spy()
    if py_spy is None:
        return dict.fromkeys(pids, "py-spy is not installed")
    argv = {rank: py_spy_argv(py_spy, pid) for rank, pid in pids.items()}
    if native:
        argv = {rank: [w.replace("--nonblocking", "--native") for w in words] for rank, words in argv.items()}
    outcomes = deadline.run_many(argv, limit_s)
    return handlers.marked({r: parse_threads(one.stdout) or why_not(one) for r, one in outcomes.items()})


def from_inside(sockets: Mapping[int, str], limit_s: float) -> dict[int, Threads | bytes | str]:
    """py-spy started by the ranks' own control servers."""
    asked = control.post_many({rank: (path, PYSPY_HANDLER) for rank, path in sockets.items()}, limit_s)
    got = {
        rank: reply.error
        or parse_threads(reply.body)
        or parse_text(reply.body)
        or f"no stacks: {reply.body[:200].decode(errors='replace')}"
        for rank, reply in asked.items()
    }
    return handlers.marked(got)


def may_signal(pid: int, start_ticks: int, signum: int, faults: str, stack_fd: int = -1) -> str:
    """Empty where the signal is sure to dump stacks and do nothing else; otherwise the reason."""
    if not procfs.is_alive(pid, start_ticks):
        return "process has gone"
    if signum <= 0:
        return "no signal was set aside for stacks"
    catches, links = procfs.catches(pid, signum), procfs.fd_links(pid)
    if catches is False:
        return f"no handler for {signal.Signals(signum).name}: it would end the process"
    if links is None:  # another user's, or one that is not dumpable
        return "" if catches else "whether it has a handler cannot be seen"
    found = links.get(stack_fd) if stack_fd >= 0 else faults if faults in links.values() else None
    return "" if found == faults else "the file for stacks is closed there"


def by_signal(pid: int, signum: int, faults: str, limit_s: float) -> str | None:
    """Send the signal; what faulthandler appended to `faults`, or None if nothing came by the deadline.

    Raises OSError where it may not be sent.
    """
    before = _size(faults)
    os.kill(pid, signum)
    end, last = time.monotonic() + limit_s, -1
    while time.monotonic() < end:
        time.sleep(0.05)
        now = _size(faults)
        if now > before and now == last:
            break
        last = now
    with open(faults, "rb") as file:
        file.seek(before)
        return file.read().decode(errors="replace") or None


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def document(via: str, pid: int, rank: int | None, threads: Threads | bytes) -> tuple[str, bytes]:
    """What a stack file is called at its end, and what it holds."""
    if isinstance(threads, bytes):
        return "txt", threads
    head = {"version": 1, "via": via, "pid": pid, "rank": rank, "time": round(time.time(), 6)}
    return "json", json.dumps(head | {"threads": threads}).encode()


def main(argv: list[str] | None = None) -> int:
    """Take the Python stacks of one process without stopping it; prints event lines."""
    parser = argparse.ArgumentParser(prog="python -m probes.stacks", description=main.__doc__)
    parser.add_argument("--pid", type=int, required=True, help="the process")
    parser.add_argument("--rank", type=int, help="its rank, for the event and the file name")
    parser.add_argument("--socket", help="its control server, asked where py-spy is refused from outside")
    parser.add_argument("--out", default=".", metavar="DIR", help="where the stacks go (default: here)")
    parser.add_argument(
        "--limit", type=float, default=5.0, metavar="S", help="seconds for each way (default 5)"
    )
    given = parser.parse_args(argv)
    log, name = open_log("stacks"), given.rank if given.rank is not None else given.pid
    for via in ("py_spy", "control_server"):
        threads: Threads | bytes | str = "no socket given"
        if via == "py_spy":
            threads = from_outside({0: given.pid}, given.limit)[0]
        elif given.socket:
            threads = from_inside({0: given.socket}, given.limit)[0]
        if not isinstance(threads, str):
            ending, body = document(via, given.pid, given.rank, threads)
            path = os.path.join(given.out, f"rank-{name:05d}.{ending}")
            os.makedirs(given.out, exist_ok=True)
            atomic_write(path, body)
            log.info("stack.dumped", rank=given.rank, pid=given.pid, path=path, via=via)
            return 0
        log.warning("stack.refused", rank=given.rank, pid=given.pid, via=via, reason=threads)
    return 0


if __name__ == "__main__":
    sys.exit(main())

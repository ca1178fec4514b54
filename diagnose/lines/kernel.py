"""What the kernel says of processes, wherever its lines were printed: one line is enough for each.

>>> from diagnose.messages import said
>>> said("[ 9.5] Memory cgroup out of memory: Killed process 7 (python) total-vm:9kB, anon-rss:8kB", LINES)
('kernel.oom_killed', {'pid': 7, 'comm': 'python', 'rss': 8192, 'limited': 'cgroup'})
"""

import re
from functools import partial

from diagnose.messages import Data
from diagnose.messages import line as any_line

EVENTS = {
    "kernel.oom_killed": "data: pid, comm, rss, limit (bytes), limited (cgroup, host), group",
    "kernel.oom_invoked": "it looked for a process to kill for memory; data: comm (who asked for memory)",
    "kernel.oom_reaped": "it took back the memory of a process that it killed; data: pid, comm",
    "kernel.crashed": "a process's fault, as the kernel saw it; data: pid, comm, text",
    "kernel.task_blocked": "a task was in state D for long; data: pid, comm, blocked_s",
}
line = partial(any_line, source="kernel_log", by_rank=False)


def killed(found: re.Match[str]) -> Data:
    return {
        "pid": int(found["pid"]),
        "comm": found["comm"],
        "rss": int(found["rss"]) << 10 if found["rss"] else None,
        "limited": "cgroup" if found["whose"].startswith("Memory cgroup") else "host",
    }


LINES = (
    line(
        "kernel.oom_killed",
        "ut of memory",
        r"(?P<whose>Memory cgroup out of memory|Out of memory(?: \(oom_kill_allocating_task\))?): "
        r"Kill(?:ed)? process (?P<pid>\d{1,10}),? \((?P<comm>.{0,64}?)\)"
        r"(?:.{0,200}?anon-rss:(?P<rss>\d{1,15})kB)?",
        data=killed,
    ),
    line("kernel.oom_invoked", "invoked oom-killer", r"\b(?P<comm>[^\s\]]{1,64}) invoked oom-killer:"),
    line(
        "kernel.oom_reaped",
        "oom_reaper: reaped",
        r"oom_reaper: reaped process (?P<pid>\d{1,10}) \((?P<comm>.{0,64}?)\)",
        "pid",
    ),
    line(
        "kernel.task_blocked",
        "blocked for more than",
        r"\btask (?P<comm>.{1,64}?):(?P<pid>\d{1,10}) blocked for more than (?P<blocked_s>\d{1,9}) seconds",
        "pid",
        "blocked_s",
    ),
    *(
        line(
            "kernel.crashed",
            word,
            rf"\b(?P<comm>[^\s\[:]{{1,16}})\[(?P<pid>\d{{1,10}})\]:? (?P<text>{start}.{{0,300}})",
            "pid",
        )
        for word, start in (
            ("segfault at", "segfault at"),
            ("general protection", "general protection"),
            ("trap ", "trap "),
        )
    ),
)

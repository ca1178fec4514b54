"""What guards in user space say when they end a process for memory: the kernel is silent about those.

Schedulers that count for themselves are among them.

>>> from diagnose.messages import said
>>> said("(raylet) node_manager.cc:3084: 2 Workers (tasks / actors) killed due to memory pressure (OOM), 0 Workers", LINES)
('memory.guard_killed', {'by': 'ray', 'text': '2 Workers (tasks / actors) killed due to memory pressure'})
"""

# ruff: noqa: E501 (a pattern stays on one line)

import re

from diagnose.messages import Data, Pattern
from diagnose.messages import line as any_line

EVENTS = {"memory.guard_killed": "a guard in user space ended a process for memory; data: by, pid, text"}


def line(by: str, word: str, text: str) -> Pattern:
    def data(found: re.Match[str]) -> Data:
        pid = found.groupdict().get("pid")
        return {"by": by, **({"pid": int(pid)} if pid else {}), "text": found[0][:300]}

    return any_line("memory.guard_killed", word, text, data=data, source="platform_log", by_rank=False)


LINES = (
    line("ray", "memory pressure", r"\b[1-9]\d{0,5} Workers \(tasks / actors\) killed due to memory pressure"),
    line("ray", "running low on memory", r"(?:Task|Actor|Worker)s? (?:was|were) killed due to the node running low on memory"),
    line("ray", "memory usage threshold", r"which exceeds the memory usage threshold"),
    line("earlyoom", "sending SIG", r"sending SIG(?:TERM|KILL) to process (?P<pid>\d{1,10}) .{0,80}badness.{0,80}"),
    line("slurm", "exceeded memory limit", r"slurmstepd: (?:error: )?(?:Job|Step) \S{1,40} exceeded memory limit \(\d{1,15} > \d{1,15}\), being killed"),
    line("slurm", "job memory limit", r"slurmstepd: error: Exceeded job memory limit\s*$"),
    line("pbs", "PBS: job killed", r"PBS: job killed: v?p?mem \d{1,15}\w{0,3} exceeded limit \d{1,15}\w{0,3}"),
    line("gridengine", "exceeds job hard limit", r"exceeds job hard limit \"(?:h_vmem|h_rss|s_vmem)\" of queue .{1,200}"),
    line("htcondor", "memory limit of", r"Job has gone over (?:cgroup )?memory limit of \d{1,12} megabytes"),
    line("systemd-oomd", "systemd-oomd", r"systemd-oomd.{0,40}Killed .{1,200}"),
)  # fmt: skip

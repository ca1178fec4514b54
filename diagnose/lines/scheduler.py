"""What a scheduler says in the log of its job: Slurm's steps and tasks, `sacct`, PBS, LSF, HTCondor.

>>> from diagnose.messages import said
>>> said("slurmstepd: error: Detected 1 oom_kill event in StepId=7.0. Some of the step tasks have been OOM Killed.", LINES)
('scheduler.oom_told', {'by': 'slurm', 'num_kills': 1})
>>> said("slurmstepd: error: *** JOB 9 ON gn20 CANCELLED AT 2025-03-04T03:11:38 DUE TO PREEMPTION ***", LINES)
('platform.preempted', {'by': 'slurm', 'node': 'gn20', 'text': 'JOB 9 ON gn20 CANCELLED AT 2025-03-04T03:11:38 DUE TO PREEMPTION'})
"""

# ruff: noqa: E501 (a pattern stays on one line)

import re

from diagnose.messages import Data, Pattern
from diagnose.messages import line as any_line

EVENTS = {
    "scheduler.oom_told": "a scheduler saw the kernel kill for memory in its cgroup; data: by, num_kills, node, task",
    "platform.preempted": "the platform took the machine back; data: by, node, text",
    "platform.timed_out": "the platform's limit of time was reached; data: by, node, text",
    "platform.node_lost": "a node went away under its job; data: by, node, text",
    "platform.cancelled": "somebody asked the platform to end it; data: by, node, text",
    "platform.unscheduled": "no node had what it asks for; data: by, text",
}
NUMBERS = ("num_kills", "task")


def line(kind: str, word: str, text: str, by: str = "slurm") -> Pattern:
    def data(found: re.Match[str]) -> Data:
        named = {name: value for name, value in found.groupdict().items() if value is not None}
        told: Data = {name: int(v) if name in NUMBERS else v for name, v in named.items()}
        return {"by": by, **told} | ({"text": found[0][:300]} if kind.startswith("platform") else {})

    return any_line(kind, word, text, data=data, source="platform_log", by_rank=False)


def cancelled(reason: str) -> str:
    return (
        rf"(?:JOB|STEP) \S{{1,40}} ON (?P<node>[\w.\[\],-]{{1,120}}) CANCELLED AT \S{{1,40}} DUE TO {reason}"
    )


ACCOUNTED = r"^\s{0,4}\d{1,12}(?:[._+]\w{1,20})?[ |].{1,200}[ |]"  # a row of `sacct`: the job, and more
LINES = (
    line("scheduler.oom_told", "oom", r"Detected (?P<num_kills>\d{1,6}) oom[-_ ]kill event"),
    line("scheduler.oom_told", "Out Of Memory", r"srun: error: (?P<node>[\w.-]{1,80}): tasks? (?P<task>\d{1,7})(?:[-,\d]{0,200}): Out Of Memory"),
    line("scheduler.oom_told", "OUT_OF_ME", ACCOUNTED + r"OUT_OF_ME(?:MORY|\+)"),
    line("scheduler.oom_told", "TERM_MEMLIMIT", r"TERM_MEMLIMIT", by="lsf"),
    line("platform.preempted", "DUE TO PREEMPTION", cancelled("PREEMPTION")),
    line("platform.preempted", "DUE TO JOB REQUEUE", cancelled("JOB REQUEUE")),
    line("platform.preempted", "this job is preempted", r"Caught signal \w{1,12} on (?P<node>[\w.-]{1,120}): this job is preempted", by="submitit"),
    line("platform.preempted", "PREEMPTED", ACCOUNTED + r"PREEMPTED\b"),
    line("platform.preempted", "TERM_PREEMPT", r"TERM_PREEMPT", by="lsf"),
    line("platform.preempted", "TERM_OWNER", r"TERM_OWNER", by="lsf"),
    line("platform.preempted", "Job was evicted", r"^004 \(\d{1,9}\.\d{1,9}\.\d{1,9}\) .{1,40} Job was evicted\.", by="htcondor"),
    line("platform.timed_out", "DUE TO TIME LIMIT", cancelled("TIME LIMIT")),
    line("platform.timed_out", "TIMEOUT", ACCOUNTED + r"TIMEOUT\b"),
    line("platform.timed_out", "TERM_RUNLIMIT", r"TERM_RUNLIMIT", by="lsf"),
    line("platform.timed_out", "PBS: job killed", r"PBS: job killed: walltime .{0,80}exceeded", by="pbs"),
    line("platform.node_lost", "DUE TO NODE FAILURE", cancelled("NODE FAILURE")),
    line("platform.node_lost", "Node failure on", r"[Nn]ode failure on (?P<node>[\w.\[\],-]{1,120})"),
    line("platform.node_lost", "NODE_FAIL", ACCOUNTED + r"NODE_FAIL\b"),
    line("platform.cancelled", "CANCELLED AT", r"JOB \S{1,40} ON (?P<node>[\w.\[\],-]{1,120}) CANCELLED AT \S{1,40} \*\*\*"),
    line("platform.cancelled", "CANCELLED by", ACCOUNTED + r"CANCELLED by \d{1,10}"),
    line("platform.unscheduled", "PENDING", ACCOUNTED + r"PENDING\b.{0,200}\((?:Resources|Priority|ReqNodeNotAvail|QOS\w{1,40})"),
)  # fmt: skip

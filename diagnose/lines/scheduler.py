"""What a scheduler says in the log of its job.

>>> from diagnose.messages import said
>>> said("slurmstepd: error: Detected 1 oom_kill event in StepId=7.0. Some of the step tasks have been OOM Killed.", LINES)
('scheduler.oom_told', {'num_kills': 1})
"""  # noqa: E501

from diagnose.messages import line

EVENTS = {"scheduler.oom_told": "Slurm saw the kernel kill for memory in its cgroup; data: num_kills"}
LINES = (
    line("scheduler.oom_told", "oom", r"Detected (?P<num_kills>\d{1,6}) oom[-_ ]kill event", "num_kills"),
)

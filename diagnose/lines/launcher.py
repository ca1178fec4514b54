"""What a launcher says of its ranks: torchrun and mp.spawn. Their tables are read by `failure_table`.

>>> from diagnose.messages import said
>>> said("E1124 02:22:23.5 7655 torch/elastic/api.py:1002] failed (exitcode: -9) local_rank: 1 (pid: 7658) of binary: python", LINES)
('launcher.rank_failed', {'exit_code': -9, 'local_rank': 1, 'pid': 7658})
"""  # noqa: E501

import re
from functools import partial

from diagnose.messages import Data, signal_number
from diagnose.messages import line as any_line

EVENTS = {
    "launcher.rank_failed": "torchrun saw a rank end; data: exit_code (negative: signal), local_rank, pid",
    "launcher.closing_sent": "the launcher ended a survivor; data: pid, signal",
    "launcher.interrupted": "somebody sent the launcher a signal; data: signal",
    "launcher.command_failed": "a rank of this launcher failed, it does not say which; data: exit_code",
    "launcher.task_failed": "srun saw a task end by itself, and not well; data: node, task",
    "spawn.child_failed": "mp.spawn saw a child end; data: process (index), exit_code or signal",
}
line = partial(any_line, source="launcher_log", by_rank=False)


def closing(found: re.Match[str]) -> Data:
    return {"pid": int(found["pid"]), "signal": signal_number(found["signal"])}


def interrupted(found: re.Match[str]) -> Data:
    return {"signal": signal_number(found["signal"])}


def spawned(found: re.Match[str]) -> Data:
    if found["code"] is not None:
        return {"process": int(found["process"]), "exit_code": int(found["code"])}
    return {"process": int(found["process"]), "signal": signal_number(found["signal"])}


LINES = (
    line(
        "launcher.rank_failed",
        "failed (exitcode:",
        r"failed \(exitcode: (?P<exit_code>-?\d{1,9})\) local_rank: (?P<local_rank>\d{1,7})"
        r" \(pid: (?P<pid>\d{1,10})\)",
        "exit_code",
        "local_rank",
        "pid",
    ),
    line(
        "launcher.rank_failed",
        "Child process with PID",
        r"\[rank: (?P<local_rank>\d{1,7})\] Child process with PID (?P<pid>\d{1,10}) terminated with code"
        r" (?P<exit_code>-?\d{1,9})",
        "exit_code",
        "local_rank",
        "pid",
    ),
    *(
        line("launcher.closing_sent", word, text, data=closing)
        for word, text in (
            ("closing signal", r"Sending process (?P<pid>\d{1,10}) closing signal (?P<signal>\w{1,20})"),
            (
                "via signal",
                r"(?:Closing|Terminating) process (?P<pid>\d{1,10}) via signal (?P<signal>\w{1,20})",
            ),
            (
                "forcefully exiting via",
                r"Unable to shutdown process (?P<pid>\d{1,10}) via .{1,30}, forcefully exiting via"
                r" (?P<signal>[\w.]{1,20})",
            ),
        )
    ),
    line(
        "launcher.interrupted",
        "death signal",
        r"Received (?P<signal>(?:Signals\.)?\w{1,20}) death signal",
        data=interrupted,
    ),
    line(
        "launcher.interrupted",
        "got signal",
        r"Process (?P<pid>\d{1,10}) got signal: (?P<signal>\w{1,20})",
        data=interrupted,
    ),
    *(
        line(
            "launcher.task_failed",
            word,
            r"srun: error: (?P<node>[\w.-]{1,80}): tasks? (?P<task>\d{1,7})(?:[-,\d]{0,200}): " + rest,
            "task",
        )
        for word, rest in (
            ("Exited with exit code", "Exited with exit code [1-9]"),
            ("(core dumped)", r"[A-Z][\w ]{1,40} \(core dumped\)"),
        )
    ),
    line(
        "launcher.command_failed",  # DeepSpeed prints the command of its last rank, whichever failed
        "exits with return code",
        r"exits with return code = (?P<exit_code>-?\d{1,9})",
        "exit_code",
    ),
    line(
        "spawn.child_failed",
        "terminated with",
        r"(?:ProcessExitedException|Exception): process (?P<process>\d{1,7}) terminated with"
        r" (?:exit code (?P<code>-?\d{1,9})|signal (?P<signal>\w{1,20}))",
        data=spawned,
    ),
)

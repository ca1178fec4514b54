"""Whom launchers name that know their ranks: mpirun, Hydra, horovodrun, Composer, Paddle, servers.

It failed first, and they ended all others. MPI and sglang tell on a line of their own how it ended.

>>> from diagnose.messages import said
>>> said("mpirun noticed that process rank 1 with PID 20341 on node n7 exited on signal 9 (Killed).", LINES)
('launcher.rank_failed', {'process': 1, 'pid': 20341, 'signal': 9})
>>> said("  Process name: [[29973,1],3]", LINES)
('launcher.process_named', {'process': 3})
>>> said("ERROR shard-manager: Shard process was signaled to shutdown with signal 9 rank=1", LINES)
('launcher.rank_failed', {'signal': 9, 'process': 1})
"""

from functools import partial

from diagnose.messages import line as any_line

EVENTS = {
    "launcher.rank_failed": "whom it saw fail first; data: process (its rank), pid, exit_code or signal",
    "launcher.process_named": "whom the launcher saw fail first; data: process (its rank), pid",
    "launcher.exit_told": "how it ended whom a line beside this one names; data: exit_code or signal",
}
NUMBERS = ("process", "pid", "signal", "exit_code")
line = partial(any_line, source="launcher_log", by_rank=False)
PROCESS, PID, CODE = r"(?P<process>\d{1,6})", r"(?P<pid>\d{1,10})", r"(?P<exit_code>-?\d{1,9})"
LINES = tuple(
    line(kind, word, text, *NUMBERS)
    for kind, word, text in (
        (
            "launcher.rank_failed",
            "noticed that process rank",
            rf"noticed that process rank {PROCESS} with PID {PID} on node \S{{1,200}} exited on signal "
            r"(?P<signal>\d{1,3})",
        ),
        (
            "launcher.rank_failed",
            "crashed with exit code",
            rf"composer\.cli\.launcher: ?Rank {PROCESS} crashed with exit code {CODE}",
        ),
        (  # horovodrun's; it ends the others by SIGTERM, then by SIGKILL
            "launcher.rank_failed",
            "exit with status code",
            rf"^Process {PROCESS} exit with status code (?P<exit_code>(?!0\.|137|143)\d{{1,3}})\.",
        ),
        (  # text-generation-inference
            "launcher.rank_failed",
            "signaled to shutdown",
            rf"Shard process was signaled to shutdown with signal (?P<signal>\d{{1,3}}) rank={PROCESS}\b",
        ),
        (
            "launcher.rank_failed",
            "Container rank",
            rf"^Container rank {PROCESS} status failed cmd \[.{{1,4000}}\] code {CODE} log ",
        ),
        (
            "launcher.rank_failed",
            "application called MPI_Abort",
            rf"application called MPI_Abort\([\w ]{{1,60}}, {CODE}\) - process {PROCESS}",
        ),
        (
            "launcher.process_named",
            "Process name:",
            rf"^\s{{0,8}}Process name: (?:\[\[\d{{1,9}},1\],)?{PROCESS}\]?\s*$",
        ),
        ("launcher.process_named", "scheduler is dead", rf"^Rank {PROCESS} scheduler is dead\."),  # sglang
        ("launcher.process_named", "MPI_ABORT was", rf"MPI_ABORT was invoked on rank {PROCESS} in commun"),
        ("launcher.process_named", "RUNNING AT", rf"^= {{1,4}}RANK {PROCESS} PID {PID} RUNNING AT"),
        ("launcher.exit_told", "Exit code:", rf"^\s{{0,8}}Exit code: {{1,8}}{CODE}\s*$"),
        ("launcher.exit_told", "with errorcode", rf"^\s{{0,4}}with errorcode {CODE}\b"),
        ("launcher.exit_told", "EXIT CODE:", rf"^= {{1,4}}EXIT CODE: {CODE}\s*$"),
        ("launcher.exit_told", "KILLED BY SIGNAL", r"^= {1,4}KILLED BY SIGNAL: (?P<signal>\d{1,3})\b"),
    )
)

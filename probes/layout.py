"""Names of files in a spool (local, while the command runs) and in a run directory (what stays)."""

from probes.rank_hook.diagnose_rank.names import (
    RANK_DIGITS,
    attempt_dir,
    attempt_name,
    claim_path,
    errors_path,
    events_path,
    faults_path,
    rank_name,
    socket_path,
    state_path,
)

__all__ = [
    "RANK_DIGITS",
    "attempt_dir",
    "attempt_name",
    "claim_path",
    "dump_dir",
    "elastic_dir",
    "errors_path",
    "events_path",
    "faults_path",
    "launcher_log",
    "log_path",
    "manifest_path",
    "rank_name",
    "segment_path",
    "socket_path",
    "spool_launcher_log",
    "state_path",
]


def dump_dir(root: str, attempt: str, kind: str, time_dir: str) -> str:
    """Folder of one scan; `kind` is `stacks` or `flight`, `time_dir` its unix second.

    >>> dump_dir("S", "1", "stacks", "1795424041")
    'S/attempts/1/stacks/1795424041'
    """
    return f"{attempt_dir(root, attempt)}/{kind}/{time_dir}"


def elastic_dir(spool: str) -> str:
    """Where torchrun writes the ranks' logs."""
    return f"{spool}/elastic"


def spool_launcher_log(spool: str) -> str:
    """Everything the command printed."""
    return f"{spool}/launcher.log"


def log_path(run: str, attempt: str, rank: int) -> str:
    """A rank's log in the run directory."""
    return f"{attempt_dir(run, attempt)}/logs/{rank_name(rank)}.log"


def launcher_log(run: str, attempt: str) -> str:
    """The launcher's log in the run directory."""
    return f"{attempt_dir(run, attempt)}/logs/launcher.log"


def segment_path(run: str, attempt: str, writer: str, number: int) -> str:
    """A sealed segment of a writer's events, counted from 1.

    >>> segment_path("R", "1", "agent", 7)
    'R/attempts/1/events/agent-000007.jsonl'
    """
    return f"{attempt_dir(run, attempt)}/events/{writer}-{number:06d}.jsonl"


def manifest_path(run: str) -> str:
    """The state machine of a run."""
    return f"{run}/manifest.json"

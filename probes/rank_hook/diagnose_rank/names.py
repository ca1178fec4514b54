"""Names of the files under a spool, shared by the hook in the ranks and the readers beside them."""

RANK_DIGITS = 5


def rank_name(rank: int) -> str:
    """The file stem of a rank.

    >>> rank_name(3)
    'rank-00003'
    """
    return f"rank-{rank:0{RANK_DIGITS}d}"


def attempt_name(base: str, restarts: int = 0) -> str:
    """The attempt a launcher's restart belongs to: a counter advances, any other id gets a suffix.

    >>> attempt_name("1"), attempt_name("1", 2), attempt_name("ta-01", 2)
    ('1', '3', 'ta-01-2')
    """
    if base.isdigit():
        return str(int(base) + restarts)
    return f"{base}-{restarts}" if restarts else base


def attempt_dir(root: str, attempt: str) -> str:
    """The folder of one attempt, in a spool or a run directory."""
    return f"{root}/attempts/{attempt}"


def events_path(root: str, attempt: str, writer: str) -> str:
    """The spool's event file of one writer: `rank-00003`, `agent`, `run`, `collector`."""
    return f"{root}/attempts/{attempt}/events/{writer}.jsonl"


def state_path(root: str, attempt: str, rank: int) -> str:
    """The state page of a rank."""
    return f"{root}/attempts/{attempt}/state/{rank_name(rank)}.bin"


def claim_path(root: str, attempt: str, rank: int) -> str:
    """Which process is that rank."""
    return f"{root}/attempts/{attempt}/claims/{rank_name(rank)}.json"


def faults_path(root: str, attempt: str, rank: int) -> str:
    """What the stack signal made the rank write."""
    return f"{root}/attempts/{attempt}/faults/{rank_name(rank)}.txt"


def errors_path(root: str, attempt: str, rank: int) -> str:
    """The exception that ended the rank, in torchelastic's form."""
    return f"{root}/attempts/{attempt}/errors/{rank_name(rank)}.json"


def raised_path(root: str, attempt: str, rank: int) -> str:
    """The flight recorder of a rank that an exception ended."""
    return f"{root}/attempts/{attempt}/flight/raised/{rank_name(rank)}.json"


def socket_path(root: str, rank: int, pid: int) -> str:
    """The control server of a rank; short, since a unix socket's path ends at 107 bytes."""
    return f"{root}/sock/r{rank}-{pid}.sock"

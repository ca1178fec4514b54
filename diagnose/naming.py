"""What the name of a file tells: the rank that wrote it, the time at which it was taken. Pure."""

import re

MAX_RANK = 1 << 20


def steps(where: str) -> list[str]:
    """Folders, archive and name of a `where`.

    >>> steps("old.zip!attempts/1/logs/rank-00003.log")
    ['old.zip', 'attempts', '1', 'logs', 'rank-00003.log']
    """
    return re.split("[/!]", where)


RANK_NAME = re.compile(r"(?i)(?<![a-z])rank[-_. ]{0,2}(\d{1,7})(?!\d)")
TRAILING = re.compile(r"[-_](\d{1,7})(?:\.\w{1,8})?$")
LOCAL_LOG = re.compile(r"(?:^|[/!])attempt_\d+/(\d{1,7})/(?:stdout\.log|stderr\.log|error\.json)$")


def rank_of(where: str, trailing: bool = False) -> int | None:
    """The rank that a file's name tells; `trailing`: a number at its end will do.

    torchrun's `attempt_0/3/stderr.log` tells the local rank, which is the rank on one node.

    >>> rank_of("attempts/1/logs/rank-00003.log"), rank_of("a/rank7.log"), rank_of("node_3.log")
    (3, 7, None)
    >>> rank_of("_dump_9", trailing=True), rank_of("x/none_ab/attempt_0/1/stderr.log")
    (9, 1)
    """
    name = steps(where)[-1]
    found = RANK_NAME.search(name) or LOCAL_LOG.search(where) or (TRAILING.search(name) if trailing else None)
    return int(found[1]) if found and int(found[1]) < MAX_RANK else None


def time_of(where: str) -> float | None:
    """The time in a folder's name, as in `stacks/1795424041/rank-00003.json`."""
    found = next((p for p in reversed(steps(where)[:-1]) if re.fullmatch(r"\d{9,11}(\.\d{1,9})?", p)), None)
    return float(found) if found else None

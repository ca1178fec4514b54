"""What a launcher printed, with all ranks in it: torchrun's or mp.spawn's console, a scheduler's job log.

>>> from io import BytesIO
>>> line = b"E1124 02:22:23.5 7655 torch/elastic/api.py:1002] failed (exitcode: -9) local_rank: 1 (pid: 7658) of binary: python"
>>> event = next(parse(Member("launcher.log", len(line), lambda: BytesIO(line))))
>>> event.kind, event.where, event.rank, event.data
('launcher.rank_failed', 'launcher.log:1', None, {'exit_code': -9, 'local_rank': 1, 'pid': 7658})
"""  # noqa: E501

import re
from collections.abc import Iterator

from diagnose import logs
from diagnose.log_signs import OTHERS, is_evidence, is_mixed, is_of_ranks, is_text
from diagnose.logs import Reader, read_log
from diagnose.model import Event, Member
from diagnose.naming import rank_of, steps

EVENTS = logs.EVENTS


def recognises(where: str, head: bytes) -> bool:
    names = steps(where)
    name = names[-1]
    if not is_text(head) or OTHERS & set(names[:-1]):
        return False
    if name == "launcher.log":
        return True
    if is_mixed(head):
        return True
    if rank_of(where) is not None or not head.strip() or is_dump(head):
        return False
    return is_of_ranks(name, head)


def is_dump(head: bytes) -> bool:
    """Whether a text is a stack dump, which has the word of a log in it."""
    start = head[:2048].lstrip()
    return bool(re.match(rb"Process \d+: |(?:Current thread|Thread) 0x|Python v\d", start))


def may_hold(where: str, head: bytes) -> bool:
    """Whether a text that nobody knows may be searched: it is this if there is one known line in it."""
    return rank_of(where) is None and is_evidence(where, head)


def parse(member: Member) -> Iterator[Event]:
    return read_log(member, Reader("launcher_log", member.where))

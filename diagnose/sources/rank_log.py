"""What one rank printed: `attempts/1/logs/rank-00003.log`, torchrun's `attempt_0/3/stderr.log`, foreign `rank3.log`.

>>> from io import BytesIO
>>> line = b"RuntimeError: [gloo/transport/tcp/unbound_buffer.cc:78] Timed out waiting 4000ms for recv operation to complete"
>>> event = next(parse(Member("logs/rank-00003.log", len(line), lambda: BytesIO(line))))
>>> event.kind, event.where, event.rank, event.data
('gloo.timed_out', 'logs/rank-00003.log:1', 3, {'wait_ms': 4000, 'operation': 'recv'})
"""  # noqa: E501

from collections.abc import Iterator

from diagnose import logs
from diagnose.log_signs import OTHERS, is_evidence, is_mixed, is_text
from diagnose.logs import Reader, read_log
from diagnose.model import Event, Member
from diagnose.naming import rank_of, steps

EVENTS = logs.EVENTS


def recognises(where: str, head: bytes) -> bool:
    names = steps(where)
    if rank_of(where) is None or not is_text(head) or is_mixed(head) or OTHERS & set(names[:-1]):
        return False
    is_log = names[-1].endswith((".log", ".out", ".err")) or "logs" in names[:-1]
    return is_log or b"Traceback (most" in head or b"ProcessGroup" in head or b"[rank" in head


def may_hold(where: str, head: bytes) -> bool:
    """Whether a text that nobody knows may be searched: it is this if there is one known line in it."""
    return rank_of(where) is not None and is_evidence(where, head)


def parse(member: Member) -> Iterator[Event]:
    return read_log(member, Reader("rank_log", member.where, rank_of(member.where)))

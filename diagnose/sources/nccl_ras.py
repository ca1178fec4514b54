"""What NCCL's RAS service answers to `ncclras`: text since NCCL 2.24, JSON (`-f json`) since 2.28.7.

Ranks are those inside a communicator, not global ones: a process is known by its host and pid. Counts are of
operations *launched*: equal counts do not prove that anything was completed, and unequal ones are normal for
a moment. The ranks that are listed are the fewer ones, and may as well be the ones ahead. `dead` is a process
that no other could reach for about a minute, `missing` one that did not answer this query.

Sources: NVIDIA/nccl, `src/ras/client_support.cc` (2.24 to 2.30) and the user guide, "Troubleshooting: RAS";
real outputs of 2.26 (NVIDIA/nccl#1911) and of 2.28.9, whose JSON lacks the comma before the `status` of each
missing rank.

>>> from io import BytesIO
>>> text = b"NCCL version 2.26.2 compiled with CUDA 12.6\\n\\nJob summary\\n===========\\n\\nDEAD\\n" \\
...     b"  1 job process is considered dead (unreachable via the RAS network)\\n" \\
...     b"  Process 3487984 on node 10.0.0.3 managing GPU 5\\n"
>>> [(e.kind, e.data) for e in parse(Member("ras.txt", len(text), lambda: BytesIO(text)))][0]
('ras.process_lost', {'how': 'dead', 'pid': 3487984, 'host': '10.0.0.3', 'gpus': '5'})
"""

import re
from collections.abc import Iterator

from diagnose.model import Event, Member
from diagnose.naming import time_of
from diagnose.ras_json import of_json
from diagnose.ras_text import of_text
from diagnose.text import decode

EVENTS = {
    "ras.read": "one answer; data: form (text, json), version, num_communicators, num_timeouts, num_lost, "
    "num_processes (text)",
    "ras.communicator_read": "one communicator (text: only with errors); data: communicator (hash), size, "
    "errors (OK: empty; INCOMPLETE, ERROR, MISMATCH), states ([{value, num_ranks, ranks}]), "
    "counts ({operation: [{value, num_ranks, ranks}]}: those that differ), missing (ranks without data), "
    "faults ([{value, num_ranks, ranks}]); ranks: {rank, pid, host, gpu}, inside the communicator",
    "ras.process_lost": "one process; data: how (dead, missing), pid, host, gpus",
    "source.unreadable": "data: reason",
}
CONFINED = True
LIMIT = 64 << 20
PREFACE = re.compile(r"\A(?:(?:SERVER PROTOCOL \d+|OK)\r?\n)+")  # of those who asked with nc


def recognises(where: str, head: bytes) -> bool:
    text = PREFACE.sub("", decode(head[:8192]).lstrip(), count=1)
    if re.match(r"R?NCCL version \S+ compiled with ", text, re.I) and "version" in text[10:]:
        return "Job summary" in text or '"communicators"' in text or "RAS" in text or len(head) < 8192
    return text.startswith("{") and '"nccl_version"' in text and '"communicators' in text


def parse(member: Member) -> Iterator[Event]:
    text = PREFACE.sub("", decode(member.read(LIMIT)).lstrip(), count=1)
    start = text.find("{") if '"communicators"' in text else -1
    try:
        found = list(of_json(text[start:]) if start >= 0 else of_text(text))
    except ValueError as error:
        yield Event("source.unreadable", "nccl_ras", member.where, data={"reason": str(error)})
        return
    for place, kind, data in found:
        where = f"{member.where}:{place}" if place else member.where
        yield Event(kind, "nccl_ras", where, time=time_of(member.where), data=data)

"""Horovod's stall check: who has not handed in what the others wait for, a line for a tensor or for a rank.

>>> from diagnose.messages import said
>>> said("W horovod/common/operations.cc:588] HorovodBroadcast_bias_0 [missing ranks: 1, 3]", LINES)
('horovod.tensors_stalled', {'tensors': [['HorovodBroadcast_bias_0', 'missing', [1, 3]]]})
>>> said("Stalled ops: fc.bias [ready ranks: 0, 7, 2], fc.weight [ready ranks: 3]", LINES)
('horovod.tensors_stalled', {'tensors': [['fc.bias', 'ready', [0, 7, 2]], ['fc.weight', 'ready', [3]]]})
>>> said("2: [allreduce.fc.weight, allreduce.fc.bias ...]", LINES)
('horovod.rank_missed', {'missing': [2], 'tensors': ['allreduce.fc.weight', 'allreduce.fc.bias']})
"""

import re

from diagnose.messages import Data, line, numbers

EVENTS = {
    "horovod.stalled": "the stall check's report begins: tensors that only some ranks handed in",
    "horovod.tensors_stalled": "tensors that others lack; data: tensors (name, missing or ready, ranks)",
    "horovod.rank_missed": "a rank that others wait for; data: missing (the rank), tensors (some of them)",
}
MAX_NAMES = 20


def of_tensor(found: re.Match[str]) -> Data:
    """Older ones have all tensors in one line."""
    rows = [(row["tensor"], row["which"], numbers(row["ranks"])) for row in found.re.finditer(found.string)]
    return {"tensors": [[name, which, ranks] for name, which, ranks in rows[:MAX_NAMES]]}


def of_rank(found: re.Match[str]) -> Data:
    names = [name.strip(" .") for name in found["names"].split(",")]
    return {"missing": [int(found["rank"])], "tensors": [name for name in names if name][:MAX_NAMES]}


STARTS = {  # how the name of a rank's first tensor begins
    ": [allreduce": "allreduce",
    ": [allgather": "allgather",
    ": [broadcast": "broadcast",
    ": [Horovod": "Horovod",
    "_Allreduce/": r"[\w/]{1,80}_Allreduce/",
}
LINES = (
    line(
        "horovod.stalled",
        "by subset of ranks and are waiting",
        r"by subset of ranks and are waiting for remainder of ranks",
        by_rank=False,
    ),
    line(
        "horovod.tensors_stalled",
        " ranks: ",
        r"(?P<tensor>[^\s\[\]]{1,300}) \[(?P<which>missing|ready) ranks: (?P<ranks>\d[\d, ]{0,4000})\]",
        data=of_tensor,
        by_rank=False,
    ),
    *(
        line(
            "horovod.rank_missed",
            word,
            rf"^ ?(?P<rank>\d{{1,6}}): \[(?P<names>{start}[^\[\]]{{0,2000}})",
            data=of_rank,
            by_rank=False,
        )
        for word, start in STARTS.items()
    ),
)

"""The calls that NCCL logs under NCCL_DEBUG_SUBSYS=COLL: what each process launched, by its own count.

>>> from diagnose.messages import said
>>> said("n1:70:70 [2] NCCL INFO AllGather: opCount 1f sendbuff 0x7f1f recvbuff 0x7f1e count 64 datatype 0 op 0 root 0 comm 0x559c [nranks=4] stream 0x559c", LINES)
('nccl.call_told', {'op': 'AllGather', 'num': 31, 'count': 64, 'datatype': 0, 'root': 0, 'num_ranks': 4, 'comm': '559c'})
"""  # noqa: E501

import re

from diagnose.messages import Data, nccl_line

EVENTS = {"nccl.call_told": "data: op, num (of the call), count, datatype, root, comm (its own), num_ranks"}


def called(found: re.Match[str]) -> Data:
    told = found.groupdict()
    numbers = {key: int(told[key]) for key in ("count", "datatype", "root", "num_ranks")}
    return {"op": told["op"], "num": int(told["num"], 16), **numbers, "comm": told["comm"]}


LINES = (
    nccl_line(
        "nccl.call_told",
        ": opCount ",
        r"(?P<op>AllReduce|AllGather|ReduceScatter|Broadcast|Reduce): opCount (?P<num>[0-9a-f]{1,15}) "
        r".{0,80}?count (?P<count>\d{1,18}) datatype (?P<datatype>\d{1,3}) op \d{1,3} root (?P<root>\d{1,7}) "
        r"comm 0x(?P<comm>[0-9a-f]{1,16}) \[nranks=(?P<num_ranks>\d{1,7})\]",
        data=called,
    ),
)

"""Who is who to NCCL, and what it chose: lines of NCCL_DEBUG=INFO. They prove no fault by themselves.

>>> from diagnose.messages import said
>>> said("n1:70:91 [1] NCCL INFO comm 0x7f6c rank 1 nranks 2 cudaDev 1 busId 4b000 - Init COMPLETE", LINES)
('nccl.comm_inited', {'comm_rank': 1, 'num_ranks': 2, 'device_id': '4b000'})
"""

from diagnose.messages import nccl_line

EVENTS = {
    "nccl.comm_inited": "a process's rank in a communicator; data: comm_rank, num_ranks, device_id (its bus)",
    "nccl.proxy_named": "a proxy thread tells the rank of its process; data: comm_rank",
    "nccl.channel_named": "a channel that a process opens to another tells its own rank; data: comm_rank",
    "nccl.version_told": "which NCCL a process has loaded; data: version",
    "nccl.network_chosen": "what NCCL sends over between hosts; data: network",
}
RANK = r"\bcomm 0x[0-9a-f]{1,16} rank (?P<comm_rank>\d{1,7}) "
BUS = r"(?:.{0,80}? busId (?P<device_id>[0-9a-f]{1,16})\b)?"
LINES = (
    nccl_line(
        "nccl.comm_inited",
        " nranks ",
        rf"{RANK}nranks (?P<num_ranks>\d{{1,7}}){BUS}",
        "comm_rank",
        "num_ranks",
    ),
    nccl_line(
        "nccl.comm_inited",
        " nRanks ",
        rf"{RANK}nRanks (?P<num_ranks>\d{{1,7}}){BUS}",
        "comm_rank",
        "num_ranks",
    ),
    nccl_line(
        "nccl.proxy_named",
        "[Proxy Service ",
        r"\[Proxy Service (?:UDS )?(?P<comm_rank>\d{1,7})\]",
        "comm_rank",
    ),
    nccl_line(
        "nccl.channel_named",
        " via ",
        r"\bChannel \d{1,4}(?:/\d{1,3})? : (?P<comm_rank>\d{1,7})\[[0-9a-f]{1,16}\] -> "
        r"\d{1,7}\[[0-9a-f]{1,16}\] (?!\[receive)(?:\[send\] )?via ",
        "comm_rank",
    ),
    nccl_line(
        "nccl.version_told",
        "NCCL version ",
        r"^(?!.{0,200}NCCL error).{0,160}?\bNCCL version (?P<version>\d{1,2}\.\d{1,3}[\w.+-]{0,40})",
    ),
    nccl_line(
        "nccl.network_chosen",
        "Using network ",
        r"\bUsing network (?P<network>[\w./-]{1,40}(?: \w{1,40})?)\s*$",
    ),
)

"""What NCCL says when ranks cannot come together.

>>> from diagnose.messages import said
>>> said("a:7:9 [0] misc/socket.cc:484 NCCL WARN socketStartConnect: Connect to 10.0.0.2<4711> failed : No route to host", LINES)
('nccl.connect_failed', {'peer': '10.0.0.2', 'port': 4711, 'reason': 'No route to host'})
"""  # noqa: E501

from diagnose.messages import nccl_line

EVENTS = {
    "nccl.interface_missing": "NCCL found no network interface that it may use; data: interface",
    "nccl.connect_failed": "NCCL could not connect to a peer's address; data: peer, port, reason",
    "nccl.ranks_differ": "processes disagree on a communicator's size, or two are one rank; data: text",
}
PEER = r"(?P<peer>[\w.:%-]{1,80})<(?P<port>\d{1,5})>"
LINES = tuple(
    nccl_line(kind, word, text, "port")
    for kind, word, text in (
        (
            "nccl.connect_failed",
            "onnect to ",
            rf"(?:NCCL WARN|[Ss]ocket\w{{2,20}}:|Call to) .{{0,80}}?\b[Cc]onnect to {PEER} "
            r"(?:failed ?: |returned (?:\d{1,5}\()?)(?P<reason>[A-Z][\w ]{1,60})",
        ),
        (
            "nccl.connect_failed",
            "Call to connect ",
            r"Call to connect (?:timeout|failed|returned|timed out) ?:? ?(?P<reason>[A-Z][\w ]{1,60})",
        ),
        (
            "nccl.connect_failed",
            "same subnet as remote",
            r"(?P<reason>No interface found in the same subnet) as remote address (?P<peer>[\w.:%-]{0,80})",
        ),
        (
            "nccl.interface_missing",
            "interface found",
            r"(?:NCCL WARN|Bootstrap|NET/Socket).{0,40}: (?P<interface>no (?:socket )?interface found)",
        ),
        (
            "nccl.interface_missing",
            "is neither AF_INET",  # what was never filled in
            r"connecting to address (?P<interface>[^\s<]{0,80})\S{0,10} ?with family \d{1,6} "
            r"is neither AF_INET",
        ),
        (
            "nccl.ranks_differ",
            "mismatch in rank count",
            r"(?P<text>mismatch in rank count from procs \d{1,7} : \d{1,7})",
        ),
        (
            "nccl.ranks_differ",
            "essage truncated",  # of the processes that meet: what is not of one size there is not of one job
            r"(?P<text>Message truncated : received \d{1,18} bytes instead of \d{1,18})",
        ),
        (
            "nccl.ranks_differ",
            "has already checked in",
            r"(?P<text>rank \d{1,7} of \d{1,7} ranks has already checked in)",
        ),
    )
)

"""What NCCL says when ranks cannot come together.

>>> from diagnose.messages import said
>>> said("a:7:9 [0] misc/socket.cc:484 NCCL WARN socketStartConnect: Connect to 10.0.0.2<4711> failed : No route to host", LINES)
('nccl.connect_failed', {'peer': '10.0.0.2', 'port': 4711, 'reason': 'No route to host'})
"""  # noqa: E501

from diagnose.messages import line

EVENTS = {
    "nccl.interface_missing": "NCCL found no network interface that it may use; data: interface",
    "nccl.connect_failed": "NCCL could not connect to a peer's address; data: peer, port, reason",
}
LINES = tuple(
    line(kind, word, text, "port")
    for kind, word, text in (
        (
            "nccl.connect_failed",
            "onnect to ",
            r"NCCL WARN .{0,80}\b[Cc]onnect to (?P<peer>[\w.:%-]{1,80})<(?P<port>\d{1,5})> "
            r"(?:failed : |returned \d{1,5}\()(?P<reason>[A-Z][\w ]{1,60})",
        ),
        (
            "nccl.connect_failed",
            "same subnet as remote",
            r"NCCL WARN .{0,80}(?P<reason>No interface found in the same subnet) as remote address "
            r"(?P<peer>[\w.:%-]{0,80})",
        ),
        (
            "nccl.interface_missing",
            "interface found",
            r"NCCL WARN .{0,40}: (?P<interface>no (?:socket )?interface found)",
        ),
    )
)

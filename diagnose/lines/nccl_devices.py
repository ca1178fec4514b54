"""What NCCL says of GPUs: two ranks on one, peers that cannot reach each other, calls that CUDA refused.

>>> from diagnose.messages import said
>>> said("n1:7:9 [0] init.cc:795 NCCL WARN Duplicate GPU detected : rank 6 and rank 4 both on CUDA device 31000", LINES)
('nccl.gpu_duplicated', {'first': 6, 'second': 4, 'device_id': '31000'})
"""  # noqa: E501

from diagnose.messages import nccl_line

EVENTS = {
    "nccl.gpu_duplicated": "two ranks of a communicator on one GPU; data: first, second, device_id (its bus)",
    "nccl.peers_apart": "GPUs of one host cannot reach each other as their links promise; data: reason",
}
APART = (
    r"(?P<reason>peer access (?:is not supported|has not been enabled)|mapping of buffer object failed"
    r"|peer mapping resources exhausted)"
)
LINES = (
    nccl_line(
        "nccl.gpu_duplicated",
        "Duplicate GPU detected",
        r"Duplicate GPU detected\s{0,2}: rank (?P<first>\d{1,7}) and rank (?P<second>\d{1,7}) both on "
        r"(?:CUDA|HIP) device(?: (?P<device_id>[0-9a-f:.]{1,20}))?",
        "first",
        "second",
    ),
    nccl_line(
        "nccl.peers_apart",
        "P2P is disabled between",
        r"(?P<reason>P2P is disabled between NVLINK connected GPUs \d{1,3} and \d{1,3})",
    ),
    *(
        nccl_line(
            "nccl.peers_apart",
            word,
            rf"(?:NCCL (?:WARN|INFO)|transport/p2p\.cc|[Cc]uda failure|CUDA error).{{0,160}}?{APART}",
        )
        for word in ("peer access ", "mapping of buffer object", "peer mapping resources")
    ),
    nccl_line(
        "nccl.peers_apart",
        "transport/p2p.c",
        r"transport/p2p\.cc?u?:\d{1,5} NCCL WARN Cuda failure (?:\d{1,4} )?'"
        r"(?P<reason>invalid (?:argument|resource handle|device context|device ordinal)|unknown error"
        r"|OS call failed[\w ,-]{0,60})'",
    ),
    nccl_line(
        "nccl.peers_apart",
        "transport/nvls.c",
        r"transport/nvls\.cc?u?:\d{1,5} NCCL WARN (?P<reason>Cuda failure (?:\d{1,4} )?"
        r"'(?!out of memory|an illegal|unspecified launch)[^']{1,100}')",
    ),
    *(
        nccl_line("nccl.peers_apart", word, rf"(?P<reason>{text})")
        for word, text in (
            (
                "IpcOpenMemHandle",
                r"\w{2,4}IpcOpenMemHandle\b.{0,60}?(?:(?:cuda|hip|CUDA)_?[Ee]\w{3,40}|failed|[Ee]rror).{0,60}",
            ),
            ("IpcGetMemHandle", r"\w{2,4}IpcGetMemHandle failed ?: .{0,60}"),  # RCCL's
            ("PeerAccess", r"\b(?:cuda|hip)ErrorPeerAccess(?:Unsupported|NotEnabled)"),
            (
                "custom_all_reduce.cu",
                r"custom_all_reduce\.cuh?:\d{1,5} '(?!out of memory|an illegal|unspecified launch)[^']{1,99}",
            ),
            ("failed to open CUDA IPC", r"failed to open CUDA IPC handle.{0,100}"),
        )
    ),
    nccl_line(
        "nccl.peers_apart",
        "attaching to shared memory segment",
        r"(?P<reason>Error while attaching to shared memory segment \S{1,100}) \(size \d{1,15}\).{0,20}"
        r"error: (?!No space)",
    ),
    nccl_line(
        "nccl.peers_apart",
        "reverse path from",
        r"(?P<reason>Failed to find reverse path from .{1,60} to node \S{1,20})",
    ),
    nccl_line(
        "nccl.peers_apart",
        "failed to peer with device",
        r"(?P<reason>failed to peer with device \d{1,3})",
    ),
)

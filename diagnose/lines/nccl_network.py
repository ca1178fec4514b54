"""What NCCL says of the network between hosts, once its processes know each other.

>>> from diagnose.messages import said
>>> said("n1:7:9 [0] transport/net_ib.cc:829 NCCL WARN NET/IB : Got completion with error 12, opcode 1, len 0, vendor err 129", LINES)
('nccl.completion_failed', {'status': 12})
"""  # noqa: E501

from diagnose.messages import nccl_line

EVENTS = {
    "nccl.completion_failed": "the adapter gave a transfer up; data: peer, status (its number), adapter; a "
    "library's own code and reason",
    "nccl.port_failed": "an adapter's port or the adapter went down; data: adapter, reason",
    "nccl.path_refused": "a connection over the fabric could not be set up; data: call, reason, adapter",
    "nccl.plugin_failed": "a network plug-in, or the network that was asked for, cannot be used; data: text",
    "nccl.connection_lost": "a peer's socket was closed or reset; data: peer, reason",
}
LINES = (
    *(
        nccl_line(
            "nccl.completion_failed",
            word,
            rf"NET/\w{{2,12}} ?: ?Got completion (?:from peer (?P<peer>[^\s<]{{1,100}})\S{{0,8}} )?with "
            rf"{status}(?:.{{0,300}}? hca (?P<adapter>\w{{1,40}}))?",
            "status",
        )
        for word, status in (
            ("Got completion", r"error (?P<status>\d{1,3})"),
            ("Got completion", r"status=(?:\w{1,60}\()?(?P<status>\d{1,3})"),
        )
    ),
    nccl_line(
        "nccl.completion_failed",
        "completed with error",
        r"NET/OFI Request (?:0x\w{1,16} )?completed with error\. RC: (?P<code>\d{1,4})\. Error: "
        r"(?P<reason>.{1,120})",
    ),
    *(
        nccl_line(
            "nccl.port_failed",
            word,
            r"NET/\w{2,12} ?: (?P<adapter>[\w:.-]{1,60}) [Gg]ot [\w -]{3,40} event ?: "
            r"(?P<reason>port error|device fatal[\w ]{0,20}|local catastrophic error|.{0,20}link down)",
        )
        for word in ("async event", "async fatal event", "async error event", "fatal async event")
    ),
    *(
        nccl_line(
            "nccl.path_refused",
            word,
            rf"Call to (?P<call>{word}\w{{0,20}}) failed with (?:error )?(?:\d{{1,5}} )?"
            r"(?!.{0,12}Cannot allocate)(?P<reason>[A-Z][\w ]{2,60})(?:, on dev (?P<adapter>[\w:.-]{1,60}))?",
        )
        for word in (
            "ibv_modify_qp",
            "ibv_create_qp",
            "ibv_create_cq",
            "ibv_query_gid",
            "ibv_create_ah",
            "ibv_open_device",
            "ibv_reg_mr",
            "ibv_reg_dmabuf_mr",
        )
    ),
    *(
        nccl_line("nccl.plugin_failed", word, rf"(?P<text>{text})")
        for word, text in (
            ("No eligible providers", r"NET/OFI No eligible providers were found"),
            ("Could not find NET with id", r"Could not find NET with id \d{1,4}"),
            ("Unable to open device", r"NET/IB ?: Unable to open device \w{1,40}"),
            ("optimal provider", r"NET/OFI Couldn't find any optimal provider"),
            (
                "NET/OFI",
                r"NET/OFI (?:.{0,60}initialization failed|.{0,40}fi_getinfo\(\).{0,40}failed.{0,60})",
            ),
            (
                "NCCL WARN NET/OFI",
                r"NET/OFI (?!Request )(?:Couldn't|Could not|Unable to|Only EFA|.{1,120}? failed).{0,160}",
            ),
            ("Error: network ", r"Error: network [\w ./-]{1,60} not found"),
            ("Failed to initialize any NET", r"Failed to initialize any NET plugin"),
            ("FasTrak", r"NET/FasTrak.{0,60}(?:[Ff]ailed|not found|mismatch).{0,100}"),
            ("NET/gIB", r"NET/gIB.{0,60}(?:[Ff]ailed|not found|mismatch).{0,100}"),
        )
    ),
    *(
        nccl_line("nccl.connection_lost", word, text)
        for word, text in (
            (
                "Connection closed by remote peer",
                r"(?P<reason>Connection closed) by remote peer (?P<peer>[^\s<]{1,200})",
            ),
            *(
                (
                    f"Call to {call}",
                    rf"Call to {call}\w{{0,6}}(?: (?:from|to) (?P<peer>[^\s<]{{1,99}})\S{{0,10}})? failed ?: "
                    r"(?P<reason>Connection (?:reset|closed|refused|timed out)[\w ]{0,20}|Broken pipe"
                    r"|Software caused connection abort)",
                )
                for call in ("recv", "send", "write", "read")
            ),
            ("remote process exit", r"(?P<reason>remote process exit)(?:ing prematurely|ed)"),
        )
    ),
)

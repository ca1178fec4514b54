"""What NVIDIA's driver says of a GPU: in the kernel's log, and in the lines of a platform that passes it on.

>>> from diagnose.messages import said
>>> said("kernel: NVRM: Xid (PCI:0000:3b:00): 79, pid=77, name=python, GPU has fallen off the bus.", LINES)
('gpu.xid', {'bus': '0000:3b:00', 'code': 79, 'pid': 77, 'name': 'python', 'text': 'GPU has fallen off the bus.'})
>>> said("[gpu-health] [WARN] GPU-5c1e: XID: NVRM: Xid (PCI:0000:1b:00): 13, Graphics Exception", LINES)
('gpu.xid', {'bus': '0000:1b:00', 'code': 13, 'text': 'Graphics Exception', 'gpu': 'GPU-5c1e', 'level': 'WARN'})
"""

# ruff: noqa: E501 (a pattern stays on one line)

import re
from functools import partial

from diagnose.messages import Data, Pattern
from diagnose.messages import line as any_line

EVENTS = {
    "gpu.xid": "the driver's error code; data: code, bus, pid (the host's), name, text, previous (the code that "
    "it follows from), gpu, level (a platform's)",
    "gpu.sxid": "an NVSwitch's error; data: code, bus, text, gpu, level",
    "gpu.lost": "the driver cannot reach a GPU any more; data: bus, text",
    "gpu.fabric_refused": "the driver's NVLink fabric is out of step; data: text",
    "gpu.init_failed": "the driver could not start a GPU; data: bus, text",
    "gpu.firmware_silent": "the driver waited in vain for a GPU's firmware, in other words than its code; data: text",
    "gpu.ecc_told": "a platform tells of an uncorrectable memory error; data: gpu, level, text",
}
BUS = r"(?:PCI:)?(?P<bus>[0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2})(?:\.\d)?"
HEALTH = r"\[gpu-health\] \[(?P<level>\w{1,20})\] (?P<gpu>GPU-[^:\s]{1,64}): "
NOT_PASSED_ON = r"^(?!.{0,200}\[gpu-health\])"
PREVIOUS = re.compile(r"caused by previous Xid (\d{1,4})")
XID = (
    rf"Xid \({BUS}(?: G(?:PU-)?I[: ]\d{{1,3}})?\): (?P<code>\d{{1,4}})"
    r"(?:, pid=(?P<pid>[^,]{0,40}), name=(?P<name>[^,]{0,40}))?(?:, (?P<text>.{0,400}))?"
)
SXID = rf"SXid \({BUS}\): (?P<code>\d{{1,7}}), (?P<text>.{{0,400}})"


def bus(text: str) -> str:
    """A device's place without its function, as the driver writes it in an Xid.

    >>> bus("00000000:3B:00.0"), bus("PCI:0000:dc:00")
    ('0000:3b:00', '0000:dc:00')
    """
    text = text.lower().removeprefix("pci:").partition(".")[0]
    domain, _, rest = text.partition(":")
    return f"{domain[-4:]}:{rest}"


def told(found: re.Match[str]) -> Data:
    """What was found, numbers as such, the device's place as elsewhere; what is not known is left out."""
    data: Data = {name: text for name, text in found.groupdict().items() if text is not None}
    for name in ("code", "pid"):
        text = str(data.pop(name, "")).strip("'")
        data |= {name: int(text)} if text.isdecimal() else {}
    if where := found.groupdict().get("bus"):
        data["bus"] = bus(where)
    if previous := PREVIOUS.search(str(data.get("text", ""))):
        data["previous"] = int(previous[1])
    order = ("bus", "code", "pid", "name", "text", "previous", "gpu", "level")
    return {name: data[name] for name in order if name in data}


def twice(kind: str, word: str, text: str) -> tuple[Pattern, Pattern]:
    """A line of the driver, and the same where a platform passes it on."""
    return (
        line(kind, word, NOT_PASSED_ON + rf".{{0,200}}?{text}"),
        any_line(
            kind, word, rf"{HEALTH}.{{0,60}}?{text}", data=told, source="platform_log", by_rank=False
        ),
    )  # fmt: skip


line = partial(any_line, data=told, source="kernel_log", by_rank=False)
LINES = (
    *twice("gpu.xid", "Xid (", rf"(?<!S){XID}"),
    *twice("gpu.sxid", "SXid (", SXID),
    any_line(
        "gpu.ecc_told",
        "[gpu-health]",
        HEALTH + r"(?!S?XID)(?P<text>.{0,60}(?:ECC|ecc).{0,300})",
        data=told,
        source="platform_log",
        by_rank=False,
    ),
    # Without a code: in one line, or as the last of three.
    line("gpu.lost", "fallen off the bus", r"^(?!.{0,200}Xid \().{0,100}?NVRM:.{0,40}?"
         rf"(?:GPU(?: at)? {BUS}.{{0,40}})?(?P<text>(?:GPU has )?fallen off the bus.{{0,100}})"),
    line("gpu.lost", "NVRM: GPU is lost", r"NVRM: (?P<text>GPU is lost.{0,100})"),
    line("gpu.lost", "(rev ff)", rf"(?:{BUS}|\b[0-9a-fA-F]{{2}}:[0-9a-fA-F]{{2}}\.\d) .{{0,60}}(?P<text>NVIDIA .{{0,100}}\(rev ff\))"),
    *(
        line("gpu.firmware_silent", word, rf"NVRM: .{{0,60}}(?P<text>_kgsp\w{{1,40}}: .{{0,80}}{word}.{{0,200}})")
        for word in ("GSP Timeout", "Heartbeat timed out")
    ),
    *(
        line("gpu.fabric_refused", word, rf"NVRM: .{{0,200}}(?P<text>{word}.{{0,200}})")
        for word in ("NVLink fabric state cached by the driver is out of sync", "Failed to send inband data")
    ),
    *(
        line("gpu.init_failed", word, rf"NVRM: (?:GPU(?: at)? {BUS}:? ?)?(?P<text>.{{0,80}}{word}.{{0,200}})")
        for word in ("RmInitAdapter failed", "rm_init_adapter failed")
    ),
)  # fmt: skip

"""What the kernel says of the bus: errors that nothing corrected, accesses that the IOMMU refused, detours.

>>> from diagnose.messages import said
>>> said("pcieport 0000:5d:00.0: PCIe Bus Error: severity=Uncorrected (Fatal), type=Transaction Layer", LINES)
('pcie.failed', {'driver': 'pcieport', 'bus': '0000:5d:00', 'text': 'severity=Uncorrected (Fatal), type=Transaction Layer'})
"""

# ruff: noqa: E501 (a pattern stays on one line)

from functools import partial

from diagnose.messages import line as any_line

EVENTS = {
    "pcie.failed": "an error on the bus that was not corrected; data: bus (the device's), driver, text",
    "iommu.refused": "the IOMMU refused an access of a device; data: device, text",
    "peers.redirected": "what one device sends to another may go by the root of the bus: access control (ACS), or "
    "an IOMMU that nobody passes; common, and harmless where ranks do not hang; data: text",
}
BUS = r"(?P<bus>[0-9a-fA-F]{4}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2})\.\d"
DEVICE = r"(?P<device>[0-9a-fA-F]{4}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.\d)"
line = partial(any_line, source="kernel_log", by_rank=False)
LINES = (
    line("pcie.failed", "PCIe Bus Error", rf"(?:\b(?P<driver>\w{{1,20}}) )?{BUS}: (?:AER: )?PCIe Bus Error: (?P<text>severity=Uncorr.{{0,200}})"),
    line("pcie.failed", "AER: ", rf"(?:\b(?P<driver>\w{{1,20}}) )?{BUS}: AER: (?P<text>(?:Multiple )?Uncorrect\w+ .{{0,200}})"),
    line("pcie.failed", "Surprise Down", rf"(?:{BUS}: .{{0,100}})?(?P<text>Surprise Down.{{0,100}})"),
    line(
        "pcie.failed",
        "pciehp: Slot(",
        rf"(?:{BUS}: )?pciehp: (?P<text>Slot\([\w-]{{1,20}}\): (?:Link Down|Card not present).{{0,60}})",
    ),
    line(
        "iommu.refused",
        "IO_PAGE_FAULT",
        rf"(?:(?:\b(?P<driver>\w{{1,20}}) )?{DEVICE}.{{0,60}}?)?(?P<text>IO_PAGE_FAULT.{{0,200}})",
    ),
    line(
        "iommu.refused",
        "DMAR: [",
        r"(?P<text>DMAR: \[(?:DMA|INTR)[- ]?\w{0,10}.{0,30}\].{0,200})",
    ),
    line("peers.redirected", "ACSCtl:", r"(?P<text>ACSCtl:\s{1,20}SrcValid\+.{0,120})"),
    any_line("peers.redirected", "iommu=pt", r"NCCL WARN (?P<text>Missing \"iommu=pt\" from kernel command line.{0,80})"),
)  # fmt: skip

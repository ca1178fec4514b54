"""Figures of host memory that programs print of themselves: DeepSpeed, ColossalAI and the like.

>>> from diagnose.messages import said
>>> said("CPU Virtual Memory:  used = 503.1 GB, percent = 99.8%", LINES)
('memory.reported', {'used': 540199511654, 'percent': 99.8})
"""

import re

from diagnose.messages import Data, line

EVENTS = {"memory.reported": "host memory in use, as a program printed it; data: used (bytes), percent"}
UNITS = {"M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def reported(found: re.Match[str]) -> Data:
    used = int(float(found["used"]) * UNITS[found["unit"]])
    share = found.groupdict().get("percent")
    return {"used": used} | ({"percent": float(share)} if share else {})


LINES = tuple(
    line("memory.reported", word, text, data=reported)
    for word, text in (
        (
            "CPU Virtual Memory",
            r"CPU Virtual Memory: {1,4}used = (?P<used>\d{1,7}(?:\.\d{1,6})?) (?P<unit>[MGT])B,"
            r" percent = (?P<percent>\d{1,3}(?:\.\d{1,3})?)%",
        ),
        (
            "CPU memory usage",
            r"CPU memory usage: (?P<used>\d{1,9}(?:\.\d{1,6})?) (?P<unit>[MGT])i?B",
        ),
    )
)

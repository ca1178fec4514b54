"""How clouds tell a machine of its own that it is to go: in the words of its agents and of systemd.

>>> from diagnose.messages import said
>>> said("start-worker 2025/12/17 17:03:58 GCP Metadata Service says termination is imminent", LINES)
('platform.preempted', {'by': 'machine', 'text': 'termination is imminent'})
>>> said("Jan 30 11:33:08 gpu-4 systemd-logind[611]: Power key pressed short.", LINES)
('platform.cancelled', {'by': 'machine', 'text': 'Power key pressed short.'})
"""

import re
from functools import partial

from diagnose.messages import Data
from diagnose.messages import line as any_line

EVENTS = {
    "platform.preempted": "the platform took the machine back; data: by, text",
    "platform.cancelled": "somebody asked the platform to end it; data: by, text",
}


def told(found: re.Match[str]) -> Data:
    return {"by": "machine", "text": found[0]}


line = partial(any_line, data=told, source="platform_log", by_rank=False)
LINES = (
    line("platform.preempted", "ermination is imminent", r"[Tt]ermination is imminent"),
    line("platform.cancelled", "Power key pressed", r"Power key pressed\b.{0,20}"),
)

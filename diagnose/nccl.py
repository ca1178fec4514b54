"""What NCCL says went wrong, in its own lines and in the exceptions that quote them. Pure."""

import re
from collections.abc import Iterator

from diagnose import messages
from diagnose.lines import nccl_devices, nccl_memory, nccl_network
from diagnose.model import Event, Evidence

FAMILIES = (nccl_devices, nccl_memory, nccl_network)
LINES = tuple(pattern for family in FAMILIES for pattern in family.LINES)
EVENTS = tuple(kind for family in FAMILIES for kind in family.EVENTS)
ERROR = re.compile(
    r"\bNCCL [Ee]rror\b|\bnccl(?:System|Internal|Remote|UnhandledCuda)Error\b|NCCL_ERROR"
    r"|\bnccl[A-Z]\w{2,30} failed\b|\bHccl[A-Z]\w{2,30}, error code is \d"
)


def said(text: str) -> tuple[str, dict[str, object]] | None:
    """The first phrase in a text: the kind of event it makes, and its data.

    >>> said("Last error:\\nDuplicate GPU detected : rank 1 and rank 0 both on CUDA device 1000")
    ('nccl.gpu_duplicated', {'first': 1, 'second': 0, 'device_id': '1000'})
    """
    return messages.said(text, LINES)


def sayings(evidence: Evidence, *asked: str) -> Iterator[tuple[Event, str, dict[str, object]]]:
    """What lines and exceptions say of these kinds, the lines first."""
    yield from ((event, event.kind, event.data) for event in evidence.of(*asked))
    for event in evidence.of("exception.raised"):
        told = said(str(event.data.get("message")))
        if told and told[0] in asked:
            yield event, *told

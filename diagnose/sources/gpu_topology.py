"""What `nvidia-smi topo -m` draws: how each GPU is linked with each other one.

A GPU without NVLink, where all others have it among each other, has lost it; other patterns are as built.

>>> from io import BytesIO
>>> text = b"      GPU0 GPU1 CPU Affinity\\nGPU0   X   NV18 0-47\\nGPU1  NV18  X   0-47\\n"
>>> event = next(parse(Member("topo.txt", len(text), lambda: BytesIO(text))))
>>> event.kind, event.where, event.data
('gpu.links_read', 'topo.txt:1', {'num_gpus': 2, 'num_nvlinks': 1})
"""

import re
from collections.abc import Iterator, Mapping

from diagnose.log_signs import OTHERS, is_text
from diagnose.model import Event, Member
from diagnose.naming import steps
from diagnose.text import decode, lines_of

EVENTS = {
    "gpu.unlinked": "a GPU has no NVLink, and all others have it among each other; data: index, text",
    "gpu.links_read": "the whole of a matrix; data: num_gpus, num_nvlinks (pairs of GPUs)",
}
MAX_MATRICES = 1000
HEADER = re.compile(r"\s*(?:GPU\d{1,3}\s+){2,64}.*")
ROW = re.compile(
    r"\s{0,8}GPU(?P<index>\d{1,3})(?P<cells>(?:\s+(?:X|NV\d{1,3}|SYS|NODE|PHB|PXB|PIX)(?=\s|$)){2,200})"
)
NVLINK = re.compile(r"NV\d")
MANY = 3  # linked GPUs that make one without look odd


def recognises(where: str, head: bytes) -> bool:
    if not is_text(head) or OTHERS & set(steps(where)[:-1]):
        return False
    lines = decode(head).split("\n")
    return any(HEADER.fullmatch(line) for line in lines) and any(ROW.match(line) for line in lines)


def parse(member: Member) -> Iterator[Event]:
    at, num, width = 0, 0, 0
    rows: dict[int, list[str]] = {}
    for number, text in lines_of(member):
        if found := ROW.match(text):
            rows[int(found["index"])] = found["cells"].split()[:width]
        elif HEADER.fullmatch(text):
            if rows and num < MAX_MATRICES:
                yield from drawn(rows, f"{member.where}:{at}")
                num += 1
            at, rows, width = number, {}, len(re.findall(r"\bGPU\d{1,3}\b", text))
    if rows:
        yield from drawn(rows, f"{member.where}:{at}")


def drawn(rows: Mapping[int, list[str]], where: str) -> Iterator[Event]:
    linked = {index: sum(bool(NVLINK.match(cell)) for cell in cells) for index, cells in rows.items()}
    whole = [index for index, num in linked.items() if num]
    is_mesh = len(whole) >= MANY and all(linked[index] >= len(whole) - 1 for index in whole)
    for index in linked.keys() - set(whole) if is_mesh else ():
        text = f"GPU {index} has no NVLink, which GPUs {', '.join(map(str, whole))} have"
        yield Event("gpu.unlinked", "gpu_topology", where, data={"index": index, "text": text})
    data: dict[str, object] = {"num_gpus": len(rows), "num_nvlinks": sum(linked.values()) // 2}
    yield Event("gpu.links_read", "gpu_topology", where, data=data)

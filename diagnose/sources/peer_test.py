"""What `p2pBandwidthLatencyTest` prints: how fast GPUs reach each other, by the host and directly.

>>> from io import BytesIO
>>> text = b'''Unidirectional P2P=Disabled Bandwidth Matrix (GB/s)
...    D\\\\D     0      1
...      0 673.20  13.15
...      1  12.99 673.20
... Unidirectional P2P=Enabled Bandwidth (P2P Writes) Matrix (GB/s)
...    D\\\\D     0      1
...      0 673.49   2.60
...      1  11.80 672.33
... '''
>>> event = next(parse(Member("p2p.txt", len(text), lambda: BytesIO(text))))
>>> event.kind, event.where, event.data
('peers.measured', 'p2p.txt:5', {'slower': [[0, 1]], 'direct': 2.6, 'by_host': 13.15})
"""

import re
from collections.abc import Iterator

from diagnose.log_signs import OTHERS, is_text
from diagnose.model import Event, Member
from diagnose.naming import steps
from diagnose.text import decode, lines_of

EVENTS = {
    "peers.measured": "how fast GPUs reach each other; data: slower (pairs that are faster by the host), "
    "direct, by_host (GB/s of the worst pair)",
    "peers.report_read": "the whole of a report; data: num_lines",
}
TITLE = re.compile(
    r"^\W{0,8}(?P<way>Uni|Bi)directional P2P=(?P<how>Disabled|Enabled) Bandwidth .{0,60}Matrix"
)
ROW = re.compile(r"^\W{0,8}(?P<index>\d{1,3})(?P<cells>(?:\s{1,20}\d{1,6}\.\d{1,3}){1,64})\s*$")
MUCH = 0.5  # of the speed through the host: less than that is no matter of load
Matrix = dict[tuple[int, int], float]  # (from, to) -> GB/s


def recognises(where: str, head: bytes) -> bool:
    if not is_text(head) or OTHERS & set(steps(where)[:-1]):
        return False
    return any(TITLE.match(line) for line in decode(head).split("\n"))


def parse(member: Member) -> Iterator[Event]:
    speeds: dict[str, Matrix] = {}
    places: dict[str, int] = {}
    count, title = 0, ""
    for count, line in lines_of(member):
        if found := TITLE.match(line):
            title = found["way"] + found["how"]
            places.setdefault(title, count)
        elif title and (found := ROW.match(line)):
            cells = enumerate(found["cells"].split())
            speeds.setdefault(title, {}).update(
                {(int(found["index"]), to): float(cell) for to, cell in cells}
            )
    for way in ("Uni", "Bi"):
        direct, by_host = speeds.get(way + "Enabled", {}), speeds.get(way + "Disabled", {})
        if data := slower(direct, by_host):
            where = f"{member.where}:{places[way + 'Enabled']}"
            yield Event("peers.measured", "peer_test", where, data=data)
            break
    yield Event("peers.report_read", "peer_test", member.where, data={"num_lines": count})


def slower(direct: Matrix, by_host: Matrix) -> dict[str, object]:
    """The pairs whose direct path is much slower than the way through the host; empty without any."""
    pairs = [pair for pair in direct if pair[0] != pair[1] and pair in by_host]
    bad = [pair for pair in pairs if direct[pair] < MUCH * by_host[pair]]
    if not bad:
        return {}
    worst = min(bad, key=lambda pair: direct[pair] / by_host[pair])
    return {"slower": [list(pair) for pair in bad], "direct": direct[worst], "by_host": by_host[worst]}

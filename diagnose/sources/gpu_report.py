"""What `nvidia-smi` prints: its table of processes, `-q`, and the rows of `--query-gpu ... --format=csv`.

>>> from io import BytesIO
>>> line = b"|    1   N/A  N/A   2988110      C   /usr/local/bin/ollama                     62870MiB |"
>>> event = next(parse(Member("nvidia-smi.txt", len(line), lambda: BytesIO(line))))
>>> event.kind, event.data
('gpu.process_listed', {'index': 1, 'pid': 2988110, 'name': '/usr/local/bin/ollama', 'used': 65923973120})
"""

import re
from collections.abc import Iterator

from diagnose.log_signs import OTHERS, is_text
from diagnose.model import Event, Member
from diagnose.naming import steps
from diagnose.text import decode, lines_of

EVENTS = {
    "gpu.process_listed": "a process on a GPU; data: index (of the GPU), pid, name, used (bytes)",
    "gpu.held_down": "a GPU's clocks are held down; data: index, bus, reason",
    "gpu.lost": "a GPU whose values cannot be read; data: index, bus, text",
    "gpu.ecc_told": "a memory error that a report shows; data: index, bus, text",
    "gpu.report_read": "the whole of a report; data: num_lines",
}
MAX_EVENTS = 2000
PROCESS = re.compile(
    r"^\|?\s{1,10}(?P<index>\d{1,3})\s{1,10}(?:(?:N/A|\d{1,4})\s{1,10}){0,2}(?P<pid>\d{1,10})\s{1,10}"
    r"(?:C|G|C\+G|M\+C)\s{1,10}(?P<name>\S.{0,120}?)\s{1,80}(?P<used>\d{1,8})MiB \|"
)
ROW = re.compile(
    r"^\|\s{1,10}(?P<index>\d{1,3})\s.{0,60}\|\s{1,10}(?P<bus>[0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.\d)"
)
ERRORS = 3  # values of a device that cannot be read; one alone is a fan
DEVICE = re.compile(r"^GPU (?P<bus>[0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.\d)\s*$")
SLOWDOWN = re.compile(r"^\s{0,30}(?P<reason>[HS]W (?:Thermal |Power Brake )?Slowdown)\s{1,40}: Active\s*$")
REMAP = re.compile(r"^\s{0,30}(?P<text>Remapping Failure Occurred\s{1,40}: Yes)")
COLUMN = re.compile(r"(?:[hs]w_(?:thermal_|power_brake_)?slowdown)$")
HEADER = re.compile(r"^(?:index|name|gpu_name|uuid|gpu_uuid|pci\.bus_id|gpu_bus_id|timestamp), ")
SIGNS = re.compile(
    r"(?m)NVIDIA-SMI \d|=NVSMI LOG=|^\|\s+GPU\s+(?:GI\s+CI\s+)?PID\s+Type|"
    r"^\s{0,30}(?:Remapping Failure Occurred|HW Slowdown)\s{1,40}: |" + HEADER.pattern
)


def recognises(where: str, head: bytes) -> bool:
    if not is_text(head) or OTHERS & set(steps(where)[:-1]):
        return False
    text = decode(head)
    return bool(SIGNS.search(text)) or any(PROCESS.match(line) for line in text.split("\n"))


def parse(member: Member) -> Iterator[Event]:
    count, num, bus, index = 0, 0, "", -1
    names: list[str] = []
    place: dict[str, object] = {}
    for count, text in lines_of(member):
        data: dict[str, object] = {"index": index, "bus": bus} if bus else {}
        kind = ""
        if found := DEVICE.match(text):
            bus, index = found["bus"], index + 1
        elif found := ROW.match(text):
            place = {"index": int(found["index"]), "bus": found["bus"]}
        elif place and text.count("ERR!") >= ERRORS:
            kind, data = "gpu.lost", {**place, "text": "nvidia-smi reads ERR! of it"}
        elif HEADER.match(text):
            names = [name.strip().partition(" ")[0] for name in text.split(",")]
        elif found := PROCESS.match(text):
            kind = "gpu.process_listed"
            data = {
                "index": int(found["index"]),
                "pid": int(found["pid"]),
                "name": found["name"],
                "used": int(found["used"]) << 20,
            }
        elif told := queried(text):
            kind, data = told[0], data | told[1]
        elif names and text.count(",") == len(names) - 1 and (cells := row(names, text)):
            kind, data = "gpu.held_down", cells
        if kind and num < MAX_EVENTS:
            num += 1
            yield Event(kind, "gpu_report", f"{member.where}:{count}", data=data)
    yield Event("gpu.report_read", "gpu_report", member.where, data={"num_lines": count})


def queried(text: str) -> tuple[str, dict[str, object]] | None:
    """What a line of `nvidia-smi -q` says of the device above it."""
    if found := SLOWDOWN.match(text):
        return "gpu.held_down", {"reason": found["reason"]}
    if found := REMAP.match(text):
        return "gpu.ecc_told", {"text": " ".join(found["text"].split())}
    return None


def row(names: list[str], text: str) -> dict[str, object]:
    """A row of the CSV form, where a column of it says that the clocks are held down."""
    cells = dict(zip(names, (cell.strip() for cell in text.split(",")), strict=True))
    reason = next((name for name, cell in cells.items() if COLUMN.search(name) and cell == "Active"), "")
    index, bus = cells.get("index", ""), cells.get("pci.bus_id", cells.get("gpu_bus_id", ""))
    if not reason:
        return {}
    return ({"index": int(index)} if index.isdecimal() else {}) | {"bus": bus, "reason": reason}

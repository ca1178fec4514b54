"""The kernel's log: `host/kernel.log` of the agent, `dmesg`'s output in any of its forms, the journal's.

>>> from io import BytesIO
>>> line = b"[ 9.5] Memory cgroup out of memory: Killed process 7 (python) total-vm:9kB, anon-rss:8kB"
>>> event = next(parse(Member("dmesg.txt", len(line), lambda: BytesIO(line))))
>>> event.kind, event.where, event.data["pid"], event.data["comm"], event.data["limited"]
('kernel.oom_killed', 'dmesg.txt:1', 7, 'python', 'cgroup')
"""

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache

from diagnose import days, lines
from diagnose.lines.gpu_driver import bus
from diagnose.log_signs import is_text
from diagnose.messages import Pattern
from diagnose.model import Event, Member
from diagnose.naming import steps
from diagnose.sandboxes import REASON, Told
from diagnose.stamps import has_zone, seconds
from diagnose.text import decode, lines_of

EVENTS = lines.events() | {
    "kernel.read": "the whole of a kernel's log; data: num_lines, days (of the year, of its lines), boots "
    "(lines at which a kernel started)",
    "source.unreadable": "data: reason, sandbox (it is the text of a sandbox, whose kernel keeps no log)",
}
STAMP = re.compile(r"^(?P<stamp>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.,]?\d*(?:[+-]\d\d:?\d\d|Z)?)\s")
USAGE = re.compile(r"memory: usage (\d{1,15})kB, limit (\d{1,15})kB")
REPORT = re.compile(r"oom-kill:constraint=(?P<constraint>\w+).{0,4000}?task_memcg=(?P<group>[^,\s]{1,1000})")
HOST = re.compile(
    r"^(?:\S{3} [ \d]\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\dT\S{8,30}) (?P<node>[\w.-]{1,80}) kernel: "
)
DEVICE = re.compile(
    r"NVRM: The NVIDIA GPU (\S{7,20})"
)  # first of three lines, the last of which says what it did
MAX_ALIKE = 1000  # events of one kind: a fault may give a line for each multiprocessor
UNLIMITED_KB = 1 << 50
HEAD = 160  # characters of a line that may hold its stamp
BOOT = re.compile(r"\bLinux version \d")
MAX_BOOTS = 100
SIGNS = re.compile(
    r"Starting gVisor|oom-kill:|invoked oom-killer|Killed process \d|NVRM: |segfault at|Linux version \d"
    r"|PCIe Bus Error|blocked for more than|not responding, still trying|AER: |SXid \("
)


def recognises(where: str, head: bytes) -> bool:
    name = steps(where)[-1]
    if not is_text(head):
        return False
    if re.match(r"(?:kernel|dmesg|kern|kmsg)\b.*", name) and name.endswith((".log", ".txt", "dmesg", ".out")):
        return True
    text = decode(head[:8192])
    return bool(SIGNS.search(text)) and bool(re.search(r"(?m)^\[\s*\d+\.\d+\] |\bkernel: ", text))


@cache
def patterns() -> tuple[Pattern, ...]:
    """The kernel's own lines, of all families."""
    return tuple(pattern for pattern in lines.patterns() if pattern.source == "kernel_log")


def parse(member: Member) -> Iterator[Event]:
    count, seen, boots, told = 0, set[int](), list[int](), Told()
    report = Report(member.where)
    for count, text in lines_of(member):
        day = days.last(text[:HEAD].partition("kernel: ")[0].encode())  # before it a wrapper's may stand
        seen |= {day} if day is not None else set()
        boots += [count] if BOOT.search(text) and len(boots) < MAX_BOOTS else []
        if told.hear(text):
            break
        yield from report.hear(count, text, day)
    if told.is_fiction:
        why: dict[str, object] = {"reason": REASON, "sandbox": True}
        yield Event("source.unreadable", "kernel_log", f"{member.where}:1", data=why)
        return
    whole: dict[str, object] = {"num_lines": count, "days": sorted(seen), "boots": boots}
    yield Event("kernel.read", "kernel_log", member.where, data=whole)


class Report:
    """What several lines say together: the report of a kill, the device that a later line is about."""

    def __init__(self, where: str) -> None:
        self.where, self.device = where, ""
        self.known: dict[str, object] = {}
        self.alike = Counter[str]()

    def hear(self, count: int, text: str, day: int | None) -> Iterator[Event]:
        """The events of one line."""
        if "invoked oom-killer" in text:
            self.known = {}
        if usage := USAGE.search(text):
            limit = int(usage[2])
            self.known["limit"] = limit << 10 if limit < UNLIMITED_KB else None
        elif told := REPORT.search(text):
            self.known["group"] = told["group"]
        elif named := DEVICE.search(text):
            self.device = named[1]
        else:
            found = STAMP.match(text)
            time = seconds(found["stamp"].replace(",", ".")) if found and has_zone(found["stamp"]) else None
            for kind, data in events(text, self.device):
                data |= {} if day is None else {"day": day}
                if kind == "kernel.oom_killed":
                    data, self.known = data | self.known, {}
                self.alike[kind] += 1
                if self.alike[kind] <= MAX_ALIKE:
                    host = HOST.match(text)
                    node, place = host["node"] if host else None, f"{self.where}:{count}"
                    yield Event(kind, "kernel_log", place, time=time, node=node, data=data)


def events(text: str, device: str) -> Iterator[tuple[str, dict[str, object]]]:
    """What one line says; a lost device may have been named lines before."""
    for pattern in patterns():
        if (data := pattern.search(text)) is not None:
            if pattern.kind == "gpu.lost" and device and "bus" not in data:
                data = {"bus": bus(device)} | data
            yield pattern.kind, data

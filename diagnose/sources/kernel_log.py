"""The kernel's log: `host/kernel.log` of the agent, `dmesg`'s output in any of its forms, the journal's.

>>> from io import BytesIO
>>> line = b"[ 9.5] Memory cgroup out of memory: Killed process 7 (python) total-vm:9kB, anon-rss:8kB"
>>> event = next(parse(Member("dmesg.txt", len(line), lambda: BytesIO(line))))
>>> event.kind, event.where, event.data["pid"], event.data["comm"], event.data["limited"]
('kernel.oom_killed', 'dmesg.txt:1', 7, 'python', 'cgroup')
"""

import re
from collections.abc import Iterator

from diagnose.lines import kernel
from diagnose.logs import is_text
from diagnose.messages import said
from diagnose.model import Event, Member
from diagnose.text import decode, has_zone, lines_of, seconds, steps

EVENTS = kernel.EVENTS | {
    "kernel.read": "the whole of a kernel's log; data: num_lines",
    "source.unreadable": "data: reason",
}
STAMP = re.compile(r"^(?P<stamp>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.,]?\d*(?:[+-]\d\d:?\d\d|Z)?)\s")
USAGE = re.compile(r"memory: usage (\d{1,15})kB, limit (\d{1,15})kB")
REPORT = re.compile(r"oom-kill:constraint=(?P<constraint>\w+).{0,4000}?task_memcg=(?P<group>[^,\s]{1,1000})")
UNLIMITED_KB = 1 << 50
EMULATED = "Starting gVisor"
SIGNS = re.compile(
    r"Starting gVisor|oom-kill:|invoked oom-killer|Killed process \d|NVRM: |segfault at|Linux version \d"
)


def recognises(where: str, head: bytes) -> bool:
    name = steps(where)[-1]
    if not is_text(head):
        return False
    if re.match(r"(?:kernel|dmesg|kern|kmsg)\b.*", name) and name.endswith((".log", ".txt", "dmesg", ".out")):
        return True
    text = decode(head[:8192])
    return bool(SIGNS.search(text)) and bool(re.search(r"(?m)^\[\s*\d+\.\d+\] |\bkernel: ", text))


def parse(member: Member) -> Iterator[Event]:
    count, report = 0, dict[str, object]()
    for count, text in lines_of(member):
        found = STAMP.match(text)
        time = seconds(found["stamp"].replace(",", ".")) if found and has_zone(found["stamp"]) else None
        place = f"{member.where}:{count}"
        if EMULATED in text:
            reason = "a sandbox's own text, not the kernel's log"
            yield Event("source.unreadable", "kernel_log", place, data={"reason": reason})
            return
        if "invoked oom-killer" in text:
            report = {}
        elif usage := USAGE.search(text):
            limit = int(usage[2])
            report["limit"] = limit << 10 if limit < UNLIMITED_KB else None
        elif told := REPORT.search(text):
            report["group"] = told["group"]
        elif told_ := said(text, kernel.LINES):
            kind, data = told_
            if kind == "kernel.oom_killed":
                data, report = data | report, {}
            yield Event(kind, "kernel_log", place, time=time, data=data)
    yield Event("kernel.read", "kernel_log", member.where, data={"num_lines": count})

"""The kernel's log: `host/kernel.log` of the agent, `dmesg`'s output in any of its forms, the journal's.

>>> from io import BytesIO
>>> line = b"[ 9.5] Memory cgroup out of memory: Killed process 7 (python) total-vm:9kB, anon-rss:8kB"
>>> event = next(parse(Member("dmesg.txt", len(line), lambda: BytesIO(line))))
>>> event.kind, event.where, event.data["pid"], event.data["comm"], event.data["limited"]
('kernel.oom_killed', 'dmesg.txt:1', 7, 'python', 'cgroup')
"""

import re
from collections.abc import Iterator

from diagnose.logs import is_text
from diagnose.model import Event, Member
from diagnose.text import decode, has_zone, lines_of, seconds, steps

EVENTS = {
    "kernel.oom_killed": "data: pid, comm, rss, limit (bytes), limited (cgroup, host), group",
    "kernel.crashed": "a process's fault, as the kernel saw it; data: pid, comm, text",
    "kernel.read": "the whole of a kernel's log; data: num_lines",
    "source.unreadable": "data: reason",
}
STAMP = re.compile(r"^(?P<stamp>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.,]?\d*(?:[+-]\d\d:?\d\d|Z)?)\s")
USAGE = re.compile(r"memory: usage (\d{1,15})kB, limit (\d{1,15})kB")
REPORT = re.compile(r"oom-kill:constraint=(?P<constraint>\w+).{0,4000}?task_memcg=(?P<group>[^,\s]{1,1000})")
KILLED = re.compile(
    r"(?P<whose>Memory cgroup out of memory|Out of memory(?: \(oom_kill_allocating_task\))?): "
    r"Kill(?:ed)? process (?P<pid>\d{1,10}) \((?P<comm>.{0,64}?)\)(?:.{0,200}?anon-rss:(?P<rss>\d{1,15})kB)?"
)
FAULT = re.compile(
    r"\b(?P<comm>[^\s\[:]{1,64})\[(?P<pid>\d{1,10})\]:? "
    r"(?P<text>(?:segfault at|general protection|trap ).{0,300})"
)
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
        elif killed := KILLED.search(text):
            data = {
                "pid": int(killed["pid"]),
                "comm": killed["comm"],
                "rss": int(killed["rss"]) << 10 if killed["rss"] else None,
                "limited": "cgroup" if killed["whose"].startswith("Memory cgroup") else "host",
            }
            yield Event("kernel.oom_killed", "kernel_log", place, time=time, data=data | report)
            report = {}
        elif fault := FAULT.search(text):
            data = {"pid": int(fault["pid"]), "comm": fault["comm"], "text": fault["text"]}
            yield Event("kernel.crashed", "kernel_log", place, time=time, data=data)
    yield Event("kernel.read", "kernel_log", member.where, data={"num_lines": count})

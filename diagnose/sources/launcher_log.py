"""What a launcher printed, with all ranks in it: torchrun's or mp.spawn's console, a scheduler's job log.

>>> from io import BytesIO
>>> line = b"E1124 02:22:23.5 7655 torch/elastic/api.py:1002] failed (exitcode: -9) local_rank: 1 (pid: 7658) of binary: python"
>>> event = next(parse(Member("launcher.log", len(line), lambda: BytesIO(line))))
>>> event.kind, event.where, event.rank, event.data
('launcher.rank_failed', 'launcher.log:1', None, {'exit_code': -9, 'local_rank': 1, 'pid': 7658})
"""  # noqa: E501

import re
from collections.abc import Iterator

from diagnose import messages
from diagnose.logs import OTHERS, TRACE_WORDS, Reader, identity, is_text, read_log
from diagnose.messages import LAUNCHER_LINES, RANK_LINES, SIGNS, Data
from diagnose.model import Event, Member
from diagnose.text import Prefixed, decode, rank_of, steps
from diagnose.tracebacks import Raised, Tracebacks

EVENTS = messages.EVENTS | {
    "launcher.rank_failed": "torchrun saw a rank end; data: exit_code (negative: signal), local_rank, pid",
    "launcher.failure_listed": "torchrun's table; data: exit_code, pid, signal, root, host, time (as text)",
    "launcher.closing_sent": "the launcher ended a survivor; data: pid, signal",
    "launcher.interrupted": "somebody sent the launcher a signal; data: signal",
    "spawn.child_failed": "mp.spawn saw a child end; data: process (index), exit_code or signal",
}
FIELD = re.compile(r"\s*(time|host|rank|exitcode|error_file|traceback)\s*: ?(.*)")
EXIT = re.compile(r"(-?\d{1,9})\s+\(pid: (\d{1,10})\)")
HEADS = {"Failures:": False, "Root Cause (first observed failure):": True}
BLOCK = re.compile(r"\[\d+\]:\s*")
CHILD = re.compile(r"-- Process (\d{1,7}) terminated with the following error:\s*")
NAMES = re.compile(r"(?i)train|launch|torchrun|slurm|console")


def recognises(where: str, head: bytes) -> bool:
    names = steps(where)
    name = names[-1]
    if not is_text(head) or OTHERS & set(names[:-1]):
        return False
    if name == "launcher.log":
        return True
    if rank_of(where) is not None or not head.strip() or is_dump(head):
        return False
    if any(sign in decode(head) for sign in SIGNS):
        return True
    return name.endswith((".log", ".out", ".err")) and bool(NAMES.search(name))


def is_dump(head: bytes) -> bool:
    """Whether a text is a stack dump, which has the word of a log in it."""
    start = head[:2048].lstrip()
    return bool(re.match(rb"Process \d+: |(?:Current thread|Thread) 0x|Python v\d", start))


def parse(member: Member) -> Iterator[Event]:
    return read_log(member, LauncherReader("launcher_log", member.where, None, RANK_LINES + LAUNCHER_LINES))


class LauncherReader(Reader):
    """A log with the launcher's table of failures and mp.spawn's nested tracebacks in it."""

    words = (*TRACE_WORDS, "-- Process ", *HEADS)
    block: dict[str, str] | None = None  # a block of the table, None outside it
    is_root = False
    nested: Tracebacks | None = None  # the traceback in a block
    child: int | None = None  # index of the spawned process whose traceback comes

    def is_inside(self) -> bool:
        return self.block is not None or super().is_inside()

    def shown(self, number: int, line: Prefixed) -> Iterator[Event]:
        if line.text.strip() in HEADS:
            yield from self.end_block() if self.block is not None else self.flush()
            self.block, self.is_root = {}, HEADS[line.text.strip()]
        elif self.block is not None:
            yield from self.row(number, line.text)
        else:
            yield from super().shown(number, line)
            if found := CHILD.fullmatch(line.text):
                self.child = int(found[1])
                data: Data = {"process": self.child, "exit_code": 1}  # what mp.spawn's wrapper exits with
                yield from self.event("spawn.child_failed", number, None, data)

    def rank_of(self, line: Prefixed) -> int | None:
        return super().rank_of(line) if line.wrapper or self.child is None else self.child

    def raised(self, raised: Raised, rank: int | None) -> Iterator[Event]:
        if rank is not None and rank == self.child and raised.is_end:
            self.child = None
        yield from super().raised(raised, rank)

    def row(self, number: int, text: str) -> Iterator[Event]:
        """One line of the table. What its tracebacks quote is not read a second time."""
        assert self.block is not None
        found = FIELD.fullmatch(text)
        if text.startswith("===="):
            yield from self.end_block()
            self.block = None
        elif BLOCK.fullmatch(text) or text.startswith("----"):
            yield from self.end_block()
            self.block = {}
        elif self.nested is not None:
            for raised in self.nested.feed(number, text[2:] if text.startswith("  ") else text):
                yield from self.quoted(raised)
        elif found:
            self.block[found[1]] = found[2].strip()
            if found[1] == "exitcode":
                yield from self.failure(number)
            elif found[1] == "traceback" and "Traceback (most" in found[2]:
                self.nested = Tracebacks()
                self.nested.feed(number, found[2])

    def failure(self, number: int) -> Iterator[Event]:
        assert self.block is not None
        if found := EXIT.match(self.block["exitcode"]):
            code = int(found[1])
            yield Event(
                "launcher.failure_listed",
                self.source,
                f"{self.where}:{number}",
                rank=self.listed_rank(),
                data={
                    "exit_code": code,
                    "pid": int(found[2]),
                    "signal": -code if code < 0 else None,
                    "root": self.is_root,
                    "host": self.block.get("host", "")[:300],  # may be "localhost": no node's name
                    "time": self.block.get("time", "")[:40],
                },
            )

    def listed_rank(self) -> int | None:
        assert self.block is not None
        found = re.match(r"\d{1,6}(?!\d)", self.block.get("rank", ""))
        return int(found[0]) if found else None

    def quoted(self, raised: Raised) -> Iterator[Event]:
        rank = self.listed_rank()
        if raised.type and identity(raised, rank) not in self.seen:
            yield from self.raised(raised, rank)

    def end_block(self) -> Iterator[Event]:
        nested, self.nested = self.nested, None
        for raised in nested.close() if nested else []:
            yield from self.quoted(raised)

    def close(self) -> Iterator[Event]:
        if self.block is not None:
            yield from self.end_block()
        yield from super().close()

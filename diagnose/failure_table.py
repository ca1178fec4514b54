"""torchrun's table of failures at the end of its log, with the tracebacks that it quotes. Pure."""

import re
from typing import NamedTuple

from diagnose.messages import Data
from diagnose.tracebacks import Raised, Tracebacks

EVENTS = {
    "launcher.failure_listed": "torchrun's table; data: exit_code, pid, signal, root, host, time (as text)",
}
HEADS = {"Failures:": False, "Root Cause (first observed failure):": True}
FIELD = re.compile(r"\s*(time|host|rank|exitcode|error_file|traceback)\s*: ?(.*)")
EXIT = re.compile(r"(-?\d{1,9})\s+\(pid: (\d{1,10})\)")
BLOCK = re.compile(r"\[\d+\]:\s*")


class Listed(NamedTuple):
    """A failure's row, or an exception that is quoted in its block."""

    line: int
    rank: int | None
    row: Data | None
    raised: Raised | None


class FailureTable:
    """Fed with its lines from a head on; gives what each completes."""

    def __init__(self) -> None:
        self.block: dict[str, str] | None = None  # None: outside the table
        self.is_root = False
        self.nested: Tracebacks | None = None
        self.last = 0  # the line it was fed with last

    def is_open(self) -> bool:
        return self.block is not None

    def begin(self, number: int, head: str) -> list[Listed]:
        done = self.end_block()
        self.block, self.is_root, self.last = {}, HEADS[head], number
        return done

    def feed(self, number: int, text: str) -> list[Listed]:
        """What its tracebacks quote is not read a second time."""
        assert self.block is not None
        self.last = number
        found = FIELD.fullmatch(text)
        if text.startswith("===="):
            return self.close()
        if BLOCK.fullmatch(text) or text.startswith("----"):
            done, self.block = self.end_block(), {}
            return done
        if self.nested is not None:
            return self.quoted(self.nested.feed(number, text[2:] if text.startswith("  ") else text))
        if found:
            self.block[found[1]] = found[2].strip()
            if found[1] == "exitcode":
                return self.row(number, self.block)
            if found[1] == "traceback" and "Traceback (most" in found[2]:
                self.nested = Tracebacks()
                self.nested.feed(number, found[2])
        return []

    def close(self) -> list[Listed]:
        done, self.block = self.end_block(), None
        return done

    def end_block(self) -> list[Listed]:
        nested, self.nested = self.nested, None
        return self.quoted(nested.close() if nested else [])

    def quoted(self, found: list[Raised]) -> list[Listed]:
        return [Listed(raised.line, self.rank(), None, raised) for raised in found if raised.type]

    def row(self, number: int, block: dict[str, str]) -> list[Listed]:
        found = EXIT.match(block["exitcode"])
        if not found:
            return []
        code = int(found[1])
        data: Data = {
            "exit_code": code,
            "pid": int(found[2]),
            "signal": -code if code < 0 else None,
            "root": self.is_root,
            "host": block.get("host", "")[:300],  # may be "localhost": no node's name
            "time": block.get("time", "")[:40],
        }
        return [Listed(number, self.rank(), data, None)]

    def rank(self) -> int | None:
        found = re.match(r"\d{1,6}(?!\d)", (self.block or {}).get("rank", ""))
        return int(found[0]) if found else None

"""Python tracebacks in a log: one `Tracebacks` for each writer, so that interleaved ones stay apart. Pure."""

import re
from collections import deque
from typing import NamedTuple

FRAME = re.compile(r'\s*File "(.{1,400}?)", line (\d{1,9}), in (.{1,200})')
# Alone on its line, behind a terminal's echo of Ctrl-C, an exception group's gutter or a logger's words, or
# glued to a progress bar.
HEADER = re.compile(
    r"(?:^(?:\^C){0,9}(?P<gutter>\s*[|+] )?\s*\+? ?(?:Exception Group )?|(?:/\w{1,12}|\?)\]\s*"
    r"|(?:exception|error|failed|traceback)\b.{0,80}: )"
    r"Traceback \(most recent call last\):(?: \(RANK \d{1,7}\))?\s*$",
    re.IGNORECASE,
)
EXCEPTION = re.compile(r"(?P<type>[A-Za-z_][\w.<>]{0,200}?)(?::(?: (?P<message>.*))?)?\s*")
USUAL = re.compile(
    r"(?:Error|Exception|Interrupt|Exit|Warning|Timeout|Expired|Iteration|Group|Failure|Closed)\b"
    r"|\.(?:error|gaierror|herror|timeout|Empty|Full)$"
)
LEVELS = {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", "NOTE"}
CHAIN = {
    "During handling of the above exception, another exception occurred:",
    "The above exception was the direct cause of the following exception:",
}
NOTE = re.compile(
    r"(?:Exception in thread (?P<thread>.{1,100}?)|Process (?P<process>[\w-]*Process-\d+)):?\s*"
)
LOGGED = re.compile(
    r"\[?(?:[IWEF]\d{3,4} \d\d:|\d{4}-\d\d-\d\d|(?:DEBUG|INFO|WARNING|ERROR|CRITICAL)\b)"
    r"|Exception ignored|Fatal Python"
)
KEEP_FRAMES = 20
KEEP_LINES = 8  # of a message
PATIENCE = 20  # lines of others in the midst of a traceback


class Raised(NamedTuple):
    """One exception. `is_end`: the last of its chain. An empty type: the traceback breaks off."""

    line: int
    type: str
    message: str
    frames: list[str]  # "file:line in func", innermost last
    is_end: bool
    note: dict[str, str]  # thread or process, where named


class Tracebacks:
    """Fed with lines of one writer; gives each exception as soon as it is complete."""

    def __init__(self) -> None:
        self.frames: deque[str] | None = None  # None: not inside a traceback
        self.pending: Raised | None = None
        self.note: dict[str, str] = {}
        self.is_ignored = False
        self.is_headless = False  # begun by a frame: what stood before it was cut off
        self.gutter = False
        self.start = self.strays = 0
        self.last = 0  # the line it was fed with last
        self.message_open = False

    def is_open(self) -> bool:
        return self.frames is not None or self.pending is not None

    def feed(self, number: int, text: str) -> list[Raised]:
        """What this line completes."""
        self.last = number
        if "Traceback (most" in text and HEADER.search(text):
            done = self.close()
            self.begin(number, text)
            return done
        if self.frames is not None:
            return self.inside(number, re.sub(r"^\s*[|+][- ]?", "", text) if self.gutter else text)
        if self.pending is not None:
            return self.after(number, text)
        if '", line ' in text and FRAME.match(text):
            self.begin(number, text)
            self.is_headless = True
            return self.inside(number, text)
        self.look_out(text)
        return []

    def look_out(self, text: str) -> None:
        """Remember what a line says about the traceback that comes next."""
        if text.strip():
            found = NOTE.fullmatch(text)
            self.note = {key: name for key, name in found.groupdict().items() if name} if found else {}
            self.is_ignored = text.startswith("Exception ignored in")

    def begin(self, number: int, text: str) -> None:
        self.frames, self.start, self.strays = deque(maxlen=KEEP_FRAMES), number, 0
        self.is_headless = False
        self.gutter = bool(re.match(r"\s*[|+] ", text))

    def inside(self, number: int, text: str) -> list[Raised]:
        assert self.frames is not None
        if found := FRAME.match(text):
            self.frames.append(f"{found[1]}:{found[2]} in {found[3]}")
            self.strays = 0
        elif text.strip() and not text[0].isspace():
            found = EXCEPTION.fullmatch(text)
            name = found["type"] if found else ""
            is_usual = USUAL.search(name) is not None
            if found and name not in LEVELS and (is_usual or not (self.strays or self.is_headless)):
                self.pending = Raised(
                    number, name, found["message"] or "", list(self.frames), True, self.note
                )
                self.frames, self.message_open = None, True
            else:
                self.strays += 1
                if self.strays > (0 if self.is_headless else PATIENCE):
                    return self.close()
        return []

    def after(self, number: int, text: str) -> list[Raised]:
        """Behind the exception's line: more of its message, the next of its chain, or something else."""
        assert self.pending is not None
        if text.strip(" |") in CHAIN:
            done, self.pending = self.pending, None
            return [] if self.is_ignored else [done._replace(is_end=False)]
        if not text.strip():
            self.message_open = False
            return []
        lines = self.pending.message.split("\n")
        if self.message_open and len(lines) < KEEP_LINES and not LOGGED.match(text):
            self.pending = self.pending._replace(message="\n".join([*lines, text]))
            return []
        done_ = self.close()
        self.look_out(text)
        return done_

    def close(self) -> list[Raised]:
        """What is still open at the end of the lines."""
        done = []
        if self.pending is not None:
            done = [self.pending]
        elif self.frames is not None and not self.is_headless:
            done = [Raised(self.start, "", "", list(self.frames), True, self.note)]
        ignored, self.is_ignored = self.is_ignored and bool(done), self.is_ignored and not done
        if done:
            self.note = {}
        self.frames = self.pending = None
        return [] if ignored else done


def read(text: str) -> list[Raised]:
    """All tracebacks of one text, in order.

    >>> [raised] = read('Traceback (most recent call last):\\n  File "a.py", line 3, in f\\nValueError: x')
    >>> raised.type, raised.message, raised.frames
    ('ValueError', 'x', ['a.py:3 in f'])
    """
    reader, found = Tracebacks(), []
    for number, line in enumerate(text.split("\n"), 1):
        found += reader.feed(number, line)
    return found + reader.close()

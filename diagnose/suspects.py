"""Lines that look like errors, for the list of those that nobody recognised. Pure and bounded."""

import re

WORDS = (
    *("Error: ", "error: ", "ERROR", "Exception: ", "FATAL", "fatal: ", "CRITICAL", "panic: ", "NCCL WARN"),
    *("Failed to ", "failed: ", "ailed with ", "timed out", "refused", "Permission denied", "Aborted"),
    *("core dumped", "egmentation fault", "Killed", "Xid", "[E1", "[E ", "assert"),
)
MAX_LINES = 20  # of different shape
MAX_TEXT = 300
VARYING = re.compile(r"0x[0-9a-f]+|\d+")


class Suspects:
    """Counts them, and keeps the first of each shape."""

    def __init__(self) -> None:
        self.num = 0
        self.shapes: dict[str, tuple[int, str]] = {}

    def add(self, number: int, line: bytes) -> None:
        self.num += 1
        if len(self.shapes) < MAX_LINES:
            text = line[:MAX_TEXT].decode("utf-8", "replace").strip()
            self.shapes.setdefault(VARYING.sub("0", text)[:100], (number, text))

    def told(self) -> dict[str, object]:
        """How many there are, with number and text of those that were kept; empty without any."""
        kept = [[number, text] for number, text in self.shapes.values()]
        return {"num_unknown": self.num, "unknown": kept} if kept else {}

"""NCCL RAS in text, as `ncclras` prints it. Pure."""

import re
from collections.abc import Iterator

from diagnose.ras_json import MAX_RANKS, Found, Row, answer, place, process

VERSION = re.compile(r"R?NCCL version (\S+)")
TOTALS = re.compile(r"\s*\d+\s+\d+\s+\d+\s+(\d+)\s+\d+\s*")  # nodes, per node, per process, processes, GPUs
GROUP = re.compile(r"\s*(\d+)\s+(\d+)\s+\d+\s+[\d-]+\s+(\d+)\s+\d+\s+[A-Z]+\s+[A-Z,]+\s*")
BLOCK = re.compile(r"#(\d+)-\d+ \(([0-9a-f]{1,16})\) (INCOMPLETE|ERROR|MISMATCH)\s*")
PROCESS = re.compile(r"\s+Process (\d+) on node (\S+) managing GPUs? (.+)")
OPERATION = re.compile(r"\s+Communicator ranks have different (.+) operation counts")
TIMEOUTS = re.compile(r"\s+Encountered (\d+) communication timeout")
WHO = re.compile(r"(?: -- GPU (\d+)(?: \(NVML \d+\))? managed by process (\d+) on node (\S+)| -- \[.*\])?\s*")
SAID = re.compile(
    r"\s+(?:(?P<num>\d+) ranks?|Rank (?P<rank>\d+))(?: (?:have|has))?"
    r"(?: status (?P<status>[A-Z]+)| launched up to operation (?P<count>\d+)"
    r"|(?P<none> not launched any operations)| reported (?P<fault>[A-Za-z ]+?))?(?P<who> -- .*)?\s*"
)


class Report:
    """The text, line by line: sections and blocks, in which ranks alone belong to the line before."""

    def __init__(self) -> None:
        self.section = self.operation = ""
        self.sizes: dict[str, int] = {}
        self.blocks: dict[str, tuple[int, Row]] = {}
        self.block: Row | None = None
        self.last: Row | None = None
        self.lost: list[tuple[int, Row]] = []
        self.processes: int | None = None
        self.timeouts: int | None = None
        self.num_communicators = 0

    def feed(self, number: int, line: str) -> None:
        if line.strip() in {"INCOMPLETE", "DEAD", "TIMEOUT"}:
            self.section, self.block = line.strip(), None
        elif found := BLOCK.fullmatch(line):
            self.open(number, *found.groups())
        elif found := OPERATION.fullmatch(line):
            self.operation = "" if found[1] == "collective" else found[1]
        elif self.block is None:
            self.count(number, line)
        elif found := SAID.fullmatch(line):
            self.take(self.block, found)

    def open(self, number: int, group: str, name: str, error: str) -> None:
        """A communicator's block; it has one for each kind of error."""
        blank: Row = {"communicator": name, "size": self.sizes.get(group), "errors": []}
        blank |= {"states": [], "counts": {}, "missing": [], "faults": []}
        self.block = self.blocks.setdefault(name, (number, blank))[1]
        self.section, self.last = error, None
        extend(self.block["errors"], error)

    def count(self, number: int, line: str) -> None:
        """What stands outside of blocks."""
        if found := PROCESS.fullmatch(line):
            how = "dead" if self.section == "DEAD" else "missing"
            self.lost.append((number, process(how, found[1], found[2], found[3].strip())))
        elif found := GROUP.fullmatch(line):
            self.sizes[found[1]] = int(found[3])
            self.num_communicators += int(found[2])
        elif found := TIMEOUTS.match(line):
            self.timeouts = int(found[1])
        elif self.processes is None and (found := TOTALS.fullmatch(line)):
            self.processes = int(found[1])

    def take(self, block: Row, said: re.Match[str]) -> None:
        """One line of a block: so many ranks say something, or one does."""
        told = [rank_in(said)] if said["rank"] else []
        counts = block["counts"]
        if said["status"]:
            into, value = block["states"], said["status"]
        elif (said["count"] or said["none"]) and isinstance(counts, dict):
            into, value = counts.setdefault(self.operation, []), int(said["count"] or 0)
        elif said["fault"]:
            into, value = block["faults"], said["fault"]
        else:
            for rank in told:
                extend(self.last["ranks"] if self.last else block["missing"], rank)
            return
        self.last = {"value": value, "num_ranks": int(said["num"] or 1), "ranks": told}
        extend(into, self.last)


def of_text(text: str) -> Iterator[Found]:
    """Raises ValueError."""
    version = VERSION.match(text)
    if not version:
        raise ValueError("no answer of RAS: it does not begin with its version")
    report = Report()
    for number, line in enumerate(text.splitlines(), 1):
        report.feed(number, line)
    yield from ((number, "ras.process_lost", data) for number, data in report.lost)
    yield from ((number, "ras.communicator_read", data) for number, data in report.blocks.values())
    counted = answer(
        "text", version[1], report.num_communicators, report.timeouts, len(report.lost), report.processes
    )
    yield 0, "ras.read", counted


def extend(into: object, row: object) -> None:
    if isinstance(into, list) and len(into) < MAX_RANKS:
        into.append(row)


def rank_in(said: re.Match[str]) -> Row:
    who = WHO.fullmatch(said["who"] or "")
    gpu, pid, host = who.groups() if who else (None, None, None)
    return place({"rank": said["rank"], "pid": pid, "host": host, "cuda_dev": gpu})

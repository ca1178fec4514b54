"""Where torchrun put each rank's output, and which rank that is."""

import os
import re
from typing import NamedTuple

from probes import layout
from probes.rank_hook.diagnose_rank.names import attempt_name
from probes.watching.tail import Tails

_PLACE = re.compile(r"attempt_(\d+)/(\d+)/(stdout\.log|stderr\.log|error\.json)$")


class Output(NamedTuple):
    """One file below the launcher's log folder."""

    path: str
    attempt: str
    local_rank: int
    name: str


def outputs(spool: str, base_attempt: str) -> list[Output]:
    """Every per-rank file that the launcher has made so far."""
    found: list[Output] = []
    for base, _, names in os.walk(layout.elastic_dir(spool)):
        for name in sorted(names, reverse=True):  # stdout before stderr
            path = os.path.join(base, name)
            if match := _PLACE.search(path):
                attempt = attempt_name(base_attempt, int(match[1]))
                found.append(Output(path, attempt, int(match[2]), name))
    return found


class Places:
    """Local rank to rank, from the hooks' claims; without one (after a while) counted from the first."""

    def __init__(self, spool: str, first: int = 0) -> None:
        self.tails, self.first = Tails(spool), first
        self.ranks: dict[tuple[str, int], int] = {}

    def refresh(self) -> None:
        """Read new claims."""
        for event in self.tails.read():
            if event.get("event") == "rank.claimed" and not event.get("provisional"):
                local, rank = event.get("local_rank"), event.get("rank")
                if isinstance(local, int) and isinstance(rank, int):
                    self.ranks.setdefault((str(event.get("attempt")), local), rank)

    def rank(self, output: Output, is_late: bool) -> int | None:
        """The rank whose output this is; None while it may still be learnt."""
        known = self.ranks.get((output.attempt, output.local_rank))
        return self.first + output.local_rank if known is None and is_late else known

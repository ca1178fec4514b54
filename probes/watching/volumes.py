"""Which volumes hold what of the ranks: looked at seldom, said when there is something new."""

import json
import time
from collections.abc import Iterator, Sequence
from typing import Any

from probes import deadline, procfs, volumes
from probes.watching import workers
from probes.watching.rank import Rank

FIRST_S, EVERY_S = 3.0, 30.0
LIMIT_S, MOST_LATE = 1.0, 3
_WORKERS = 4  # of a rank: the others read what these do
_MAPS_EVERY = 5  # looks: maps of a rank are long

Row = dict[str, Any]


class Volumes:
    """Remembers what was said of each rank; where the kernel is late again and again, asks no more."""

    def __init__(self, spool: str) -> None:
        self.spool = spool
        run = (procfs.read(f"{spool}/run-dir.txt") or b"").decode(errors="replace")
        self.extra = [volumes.Held("diagnostics", run, "told")] if run else []
        self.due, self.every, self.num = 0.0, FIRST_S, 0
        self.said: dict[tuple[str, int], dict[str, Row]] = {}
        self.num_late = 0

    def look(self, ranks: Sequence[Rank], now: float) -> Iterator[tuple[Rank, list[Row]]]:
        """Ranks of which there is news, each with all its volumes so far."""
        if not ranks or self.num_late >= MOST_LATE:
            return
        if not self.due:
            self.due = now + FIRST_S
        if now < self.due:
            return
        begun, with_maps = time.monotonic(), self.num % _MAPS_EVERY == 0
        told = deadline.call(lambda: json.dumps(self._ask(ranks, with_maps)).encode(), LIMIT_S)
        if told is None:  # a dead file system, or a busy machine
            self.num_late, self.due = self.num_late + 1, now + EVERY_S
            return
        took, self.num_late = time.monotonic() - begun, 0
        self.num, self.every = self.num + 1, min(EVERY_S, self.every * 2)
        self.due = now + max(self.every, 200 * took)  # at most half a per cent of a core
        for one, rows in zip(ranks, json.loads(told), strict=True):
            if self._is_news(one, rows):
                yield one, list(self.said[one.attempt, one.rank].values())

    def _ask(self, ranks: Sequence[Rank], with_maps: bool) -> list[list[Row]]:
        below = workers.below([one.pid for one in ranks])
        return [
            volumes.of_process(
                [one.pid, *below.get(one.pid, [])[:_WORKERS]], self.extra, with_maps, self.spool
            )
            for one in ranks
        ]

    def _is_news(self, one: Rank, rows: Sequence[Row]) -> bool:
        known, is_news = self.said.setdefault((one.attempt, one.rank), {}), False
        for row in rows:
            old = known.setdefault(row["point"], {**row, "holds": {}})
            for what, held in row["holds"].items():
                if what not in old["holds"] or (
                    old["holds"][what]["how"] == "told" and held["how"] != "told"
                ):
                    old["holds"][what], is_news = held, True
        return is_news

"""Dumps that NCCL's watchdog wrote where the user's own prefix says: copied beside the others."""

import json
import os
from collections.abc import Callable
from typing import Any

from probes import deadline, dumps, flight, layout, procfs
from probes.files import atomic_write
from probes.watching.rank import Rank

WATCHDOG = "watchdog"  # the folder; torch itself writes there where the prefix is ours
LIMIT_S = 5.0

Key = tuple[str, int]  # attempt, rank
Say = Callable[..., None]  # say(rank, kind, **data)


class Left:
    """Takes what each rank noted here has left since its start; what was half-written is taken again."""

    def __init__(self, spool: str, say: Say) -> None:
        self.spool, self.say = spool, say
        self.own = os.path.realpath(spool)
        self.noted: dict[Key, Rank] = {}
        self.done: dict[Key, list[int]] = {}
        self.is_stuck = False

    def note(self, one: Rank) -> None:
        """From now on its dump is looked for: it has stalled, or has ended."""
        self.noted[one.attempt, one.rank] = one

    def take(self) -> None:
        """Copy what is new: in a child, for the user's folder may lie where nothing answers."""
        asked = {key: one for key, one in self.noted.items() if not self._is_ours(one)}
        if not asked or self.is_stuck:
            return
        told = deadline.call(lambda: json.dumps(list(map(self._copied, asked.values()))).encode(), LIMIT_S)
        if told is None:
            self.is_stuck = True
            for one in asked.values():
                reason = f"where its watchdog dumps, nothing answers within {LIMIT_S} s"
                self.say(one, "flight.refused", via="file", reason=reason)
            return
        for (key, one), found in zip(asked.items(), json.loads(told), strict=True):
            if found:
                self.done[key] = found["version"]
                self.say(one, found["kind"], via="file", **found["data"])

    def _is_ours(self, one: Rank) -> bool:
        """Is its dump collected as it lies there? Told by the name alone."""
        return all(prefix.startswith(f"{self.spool}/") for prefix in dumps.prefixes(one.environ))

    def _copied(self, one: Rank) -> dict[str, Any] | None:
        """Copy the rank's dump if it is new: its version and what there is to say."""
        path = dumps.newest(one, procfs.started_at(one.start_ticks))
        if path is None or self.own in path:
            return None
        try:
            now = os.stat(path)
            version = [now.st_mtime_ns, now.st_size]
            is_known = self.done.get((one.attempt, one.rank)) == version
            body = None if is_known else procfs.head(path, dumps.LIMIT)
        except OSError:
            return None
        if not body:
            return None
        folder = layout.dump_dir(self.spool, one.attempt, "flight", WATCHDOG)
        name = f"{layout.rank_name(one.rank)}.{flight.ending(body)}"
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            atomic_write(os.path.join(folder, name), body)
        except OSError as error:
            refused = {"reason": error.strerror or str(error)}
            return {"version": version, "kind": "flight.refused", "data": refused}
        kept = f"attempts/{one.attempt}/flight/{WATCHDOG}/{name}"
        dumped = {"path": kept, "dir": WATCHDOG, "origin": path, "whole": dumps.is_whole(body)}
        return {"version": version, "kind": "flight.dumped", "data": dumped}

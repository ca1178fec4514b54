"""Dumps that NCCL's watchdog wrote where the user's own prefix says: copied beside the others."""

import os
from collections.abc import Callable

from probes import dumps, flight, layout, procfs
from probes.files import atomic_write
from probes.watching.rank import Rank

WATCHDOG = "watchdog"  # the folder; torch itself writes there where the prefix is ours

Say = Callable[..., None]  # say(rank, kind, **data)


class Left:
    """Takes what each rank noted here has left since its start; what was half-written is taken again."""

    def __init__(self, spool: str, say: Say) -> None:
        self.spool, self.say = spool, say
        self.own = os.path.realpath(spool)
        self.noted: dict[tuple[str, int], Rank] = {}
        self.done: dict[tuple[str, int], tuple[int, int]] = {}

    def note(self, one: Rank) -> None:
        """From now on its dump is looked for: it has stalled, or has ended."""
        self.noted[one.attempt, one.rank] = one

    def take(self) -> None:
        """Copy what is new."""
        for key, one in self.noted.items():
            path = dumps.newest(one, procfs.started_at(one.start_ticks))
            if path is None or self.own in path:  # ours is collected as it lies there
                continue
            try:
                now = os.stat(path)
            except OSError:
                continue
            version = now.st_mtime_ns, now.st_size
            body = procfs.head(path, dumps.LIMIT) if self.done.get(key) != version else None
            if body:
                self.done[key] = version
                self._keep(one, body, path)

    def _keep(self, one: Rank, body: bytes, origin: str) -> None:
        folder = layout.dump_dir(self.spool, one.attempt, "flight", WATCHDOG)
        name = f"{layout.rank_name(one.rank)}.{flight.ending(body)}"
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            atomic_write(os.path.join(folder, name), body)
        except OSError as error:
            self.say(one, "flight.refused", via="file", reason=error.strerror or str(error))
            return
        path = f"attempts/{one.attempt}/flight/{WATCHDOG}/{name}"
        is_whole = dumps.is_whole(body)
        self.say(one, "flight.dumped", path=path, dir=WATCHDOG, via="file", origin=origin, whole=is_whole)

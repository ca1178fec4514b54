"""Which processes are the ranks: from the hook's claims, else from the environment they were started with."""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from probes import dumps, procfs
from probes.rank_hook.diagnose_rank.names import attempt_name
from probes.watching import death
from probes.watching.rank import Rank, from_claim
from probes.watching.table import Marked, Table
from probes.watching.tail import Tails

Say = Callable[..., None]  # say(rank, kind, **data)
Key = tuple[str, int]  # attempt, rank
_TOLD = {
    "inductor_cache": "TORCHINDUCTOR_CACHE_DIR",
    "triton_cache": "TRITON_CACHE_DIR",
    "dump_file": dumps.FILES[0],
    "dump_pipe": dumps.PIPE,
}


class Followed:
    """The live ranks by (attempt, rank). `died` and `left` collect what the agent has not yet dealt with."""

    def __init__(self, spool: str, attempt: str, table: Table, say: Say) -> None:
        self.spool, self.attempt, self.table, self.say = spool, attempt, table, say
        self.tails = Tails(spool)
        self.ranks: dict[Key, Rank] = {}
        self.known: set[Key] = set()
        self.gone: set[tuple[str, int, int]] = set()  # (attempt, rank, pid) whose death is on record
        for event in Tails(spool, "agent").read():  # an earlier agent of this run
            if event.get("event") == "rank.died":
                self.gone.add(
                    (str(event.get("attempt")), int(event.get("rank", -1)), int(event.get("pid", 0)))
                )

    def current(self) -> list[Rank]:
        """The live ranks of the newest attempt."""
        newest = max(self.ranks.values(), key=lambda one: one.found, default=None)
        if newest is None:
            return []
        here = [one for one in self.ranks.values() if one.attempt == newest.attempt]
        return sorted(here, key=lambda one: one.rank)

    def read(self) -> list[dict[str, Any]]:
        """New events of the hooks; claims in them are followed up here."""
        events = self.tails.read()
        for event in events:
            if event.get("event") == "rank.claimed" and (one := from_claim(event)):
                self._claim(one)
            elif event.get("event") == "control.listening" and (known := self.get(event)):
                known.socket = event.get("socket") or known.socket
            elif event.get("event") == "phase.started" and (known := self.get(event)):
                known.environ = {**known.environ, **settings_told(event)}
        return events

    def get(self, event: dict[str, Any]) -> Rank | None:
        """The live rank that an event is about."""
        try:
            return self.ranks.get((str(event["attempt"]), int(event["rank"])))
        except (KeyError, TypeError, ValueError):
            return None

    def _claim(self, one: Rank) -> None:
        one, attempt = seen_from_here(one), one.attempt
        others = [key for key, rank in self.ranks.items() if key[0] == attempt]
        if one.is_provisional and any(not self.ranks[key].is_provisional for key in others):
            return
        for key in others:
            if self.ranks[key].is_provisional and not one.is_provisional:
                self.forget(key)
        old = self.ranks.get((attempt, one.rank))
        if old is not None and old.pid == one.pid and old.start_ticks == one.start_ticks:
            old.socket, old.how = one.socket or old.socket, "hook"
            old.stack_signal, old.stack_fd = one.stack_signal, one.stack_fd
            return
        if old is not None:
            self.forget((attempt, one.rank))
        self._follow(one)

    def _follow(self, one: Rank) -> None:
        if (one.attempt, one.rank, one.pid) in self.gone:
            return
        key = (one.attempt, one.rank)
        one.found = time.monotonic()
        one.seen = procfs.started(one.start_ticks)
        one.pidfd = death.open_pidfd(one.pid, one.start_ticks)
        one.environ = one.environ or procfs.environ(one.pid)
        self.ranks[key] = one
        if not one.is_provisional:
            self.known.add(key)
        self.say(
            one,
            "rank.found",
            pid=one.pid,
            start_ticks=one.start_ticks,
            how=one.how,
            local_rank=one.local_rank,
            world_size=one.world_size,
        )

    def scan(self) -> None:
        """Look for ranks without a hook among the processes that carry the job's mark."""
        for marked in self.table.unclaimed():
            one = _from_environ(marked, self.attempt)
            if (one.attempt, one.rank) not in self.known:
                self._claim(one)

    def forget(self, key: Key) -> None:
        """Stop following a rank."""
        one = self.ranks.pop(key, None)
        if one is not None and one.pidfd >= 0:
            os.close(one.pidfd)

    def bury(self, one: Rank) -> death.Death | None:
        """How it died, once: None while it lives. It is followed no longer."""
        told = death.how(one.pid, one.pidfd, one.start_ticks)
        if told is not None:
            self.gone.add((one.attempt, one.rank, one.pid))
            self.forget((one.attempt, one.rank))
        return told


def seen_from_here(one: Rank) -> Rank:
    """A rank with the pid that it has for us: one in a pid namespace of its own calls itself otherwise."""
    now = procfs.stat(one.pid)
    if not one.start_ticks or (now is not None and now.start_ticks == one.start_ticks):
        return one
    for pid in procfs.pids():
        begun = procfs.stat(pid)
        is_same = begun is not None and begun.start_ticks == one.start_ticks
        if is_same and procfs.own_pids(pid)[1:][-1:] == [one.pid]:
            return replace(one, pid=pid, inner=one.pid)
    return one


def settings_told(event: dict[str, Any]) -> dict[str, str]:
    """Compile caches and dump files that a rank says it uses: it may have set them after its start."""
    return {name: str(event[key]) for key, name in _TOLD.items() if isinstance(event.get(key), str)}


def _from_environ(marked: Marked, base: str) -> Rank:
    def number(name: str, default: int) -> int:
        text = marked.environ.get(name, "")
        return int(text) if text.isdigit() else default

    rank = number("RANK", 0)
    return Rank(
        rank,
        attempt_name(base, number("TORCHELASTIC_RESTART_COUNT", 0)),
        marked.pid,
        marked.start_ticks,
        "environment",
        number("LOCAL_RANK", rank),
        number("WORLD_SIZE", 0),
        environ=marked.environ,
        restart_count=number("TORCHELASTIC_RESTART_COUNT", 0),
    )

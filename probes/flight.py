"""Flight recorder dumps from ranks that may be blocked, and how far each group has come."""

import argparse
import json
import os
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from probes import control
from probes.emit import open_log
from probes.files import atomic_write

HANDLER = "fr_trace_json"


class Frontier(NamedTuple):
    """One rank in one group: highest sequence number launched, highest one up to which all is done.

    `newest_s` is when the newest operation was launched (unix s).
    """

    launched: int
    completed: int
    newest_s: float


def parse(body: bytes) -> dict[str, Any] | None:
    """The dump as the control server returns it; None for anything else, pickles too."""
    try:
        dump = json.loads(body)
    except ValueError:
        return None
    return dump if isinstance(dump, dict) and ("pg_config" in dump or "entries" in dump) else None


def is_dump(body: bytes) -> bool:
    """Whether it may be one: an older torch has only pickles."""
    return body[:2] == b"\x80\x02" or parse(body) is not None


def ending(body: bytes) -> str:
    """What the file of a dump is called at its end."""
    return "pickle" if body[:1] == b"\x80" else "json"


def frontiers(dump: Mapping[str, Any]) -> dict[str, Frontier]:
    """Frontier per group of this process (`pg_id:name`); comparable over time, never across ranks.

    >>> entry = {"pg_id": 0, "process_group": ["0", "default_pg"], "time_created_ns": 2_000_000_000}
    >>> done, open = {"collective_seq_id": 1, "retired": True}, {"collective_seq_id": 2, "retired": False}
    >>> frontiers({"entries": [entry | done, entry | open]})
    {'0:0': Frontier(launched=2, completed=1, newest_s=2.0)}
    """
    found: dict[str, Frontier] = {}
    for entry in dump.get("entries") or ():
        try:
            group = f"{entry['pg_id']}:{entry['process_group'][0]}"
            seq, when = int(entry["collective_seq_id"]), int(entry.get("time_created_ns") or 0) / 1e9
        except (KeyError, IndexError, TypeError, ValueError):
            continue
        if entry.get("is_p2p"):
            continue
        before = found.get(group, Frontier(0, 1 << 62, 0.0))
        is_done = entry.get("retired") or entry.get("state") == "completed"
        found[group] = Frontier(
            max(before.launched, seq),
            before.completed if is_done else min(before.completed, seq - 1),
            max(before.newest_s, when),
        )
    return {group: f._replace(completed=min(f.completed, f.launched)) for group, f in found.items()}


def waiting_in(dump: Mapping[str, Any]) -> str:
    """The oldest collective that this process has launched and not completed; empty where there is none.

    >>> entry = {"profiling_name": "gloo:all_reduce", "collective_seq_id": 12, "retired": False}
    >>> waiting_in({"entries": [entry]})
    'all_reduce #12'
    """
    for entry in dump.get("entries") or ():
        if isinstance(entry, dict) and not (entry.get("retired") or entry.get("state") == "completed"):
            name = str(entry.get("profiling_name", "")).partition(":")[2]
            return f"{name or 'collective'} #{entry.get('collective_seq_id')}"
    return ""


def expires_s(dump: Mapping[str, Any], share: float) -> float | None:
    """When (unix s) the first of this rank's open collectives will have used `share` of its timeout.

    >>> open = {"retired": False, "time_created_ns": 100_000_000_000, "timeout_ms": 10_000}
    >>> expires_s({"entries": [open, open | {"retired": True, "timeout_ms": 1}]}, 0.7)
    107.0
    """
    found = []
    for entry in dump.get("entries") or ():
        if isinstance(entry, dict) and not (entry.get("retired") or entry.get("state") == "completed"):
            made, limit = entry.get("time_created_ns"), entry.get("timeout_ms")
            if isinstance(made, int) and isinstance(limit, int) and made > 0 and limit > 0:
                found.append(made / 1e9 + share * limit / 1e3)
    return min(found, default=None)


def progress_s(before: Mapping[str, Frontier], after: Mapping[str, Frontier], now: float) -> float | None:
    """When (unix s) this rank last moved, judged by two dumps of it; None if no frontier moved.

    A launch since `before` tells its own time. A completion does not: it counts as now.
    """
    moved: list[float] = []
    for group, new in after.items():
        old = before.get(group, Frontier(0, 0, 0.0))
        if new.launched > old.launched:
            moved.append(min(now, new.newest_s or now))
        elif new.completed > old.completed:
            moved.append(now)
    return max(moved, default=None)


def has_launched(before: Mapping[str, Frontier], after: Mapping[str, Frontier]) -> bool:
    """Whether a collective was launched between two dumps of a rank: one that only ended may have failed."""
    return any(new.launched > before.get(group, Frontier(0, 0, 0.0)).launched for group, new in after.items())


def ask(sockets: Mapping[int, str], limit_s: float) -> dict[int, control.Reply]:
    """The dumps of many ranks at once; a reply that is no dump becomes an error."""
    replies = control.post_many({rank: (path, HANDLER) for rank, path in sockets.items()}, limit_s)
    return {
        rank: reply if reply.error or is_dump(reply.body) else reply._replace(error="the answer is no dump")
        for rank, reply in replies.items()
    }


def main(argv: list[str] | None = None) -> int:
    """Take the flight recorder dump of one rank through its control server; prints event lines."""
    parser = argparse.ArgumentParser(prog="python -m probes.flight", description=main.__doc__)
    parser.add_argument("socket", help="the unix socket that the rank listens on")
    parser.add_argument(
        "--rank", type=int, help="the rank that listens there, for the event and the file name"
    )
    parser.add_argument("--out", default=".", metavar="DIR", help="where the dump goes (default: here)")
    parser.add_argument("--limit", type=float, default=5.0, metavar="S", help="seconds to wait (default 5)")
    given = parser.parse_args(argv)
    log = open_log("flight")
    reply = ask({0: given.socket}, given.limit)[0]
    if reply.error:
        log.warning("flight.refused", rank=given.rank, reason=reply.error)
        return 0
    path = os.path.join(given.out, f"rank-{given.rank or 0:05d}.{ending(reply.body)}")
    os.makedirs(given.out, exist_ok=True)
    atomic_write(path, reply.body)
    far = {group: [f.launched, f.completed] for group, f in frontiers(parse(reply.body) or {}).items()}
    log.info("flight.dumped", rank=given.rank, path=path, frontiers=far)
    return 0


if __name__ == "__main__":
    sys.exit(main())

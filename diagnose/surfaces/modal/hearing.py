"""What only the platform knows of a run, asked while it still keeps it: its log, and the call graph."""

import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

from diagnose import manifest
from diagnose.contract import Manifest
from diagnose.surfaces.modal import told
from diagnose.surfaces.modal.outcome import Outcome, Unreachable
from diagnose.surfaces.modal.seen import Attempt

LOGS_S, KEPT_S = 60.0, 30 * 86400.0  # between two looks into the log, and how far back it goes


def hear(
    run: Path,
    cloud: ModuleType,
    call_id: str,
    outcome: Outcome,
    found: Manifest,
    seen: list[Attempt],
    ended: bool,
) -> bool:
    """What only the platform knows, while it still keeps it; True where it says something new.

    Its log lags, so it is read again after a bad end; of a run that goes on it is read now and then.
    """
    now = time.time()
    if ended:
        told.call_ended(run, outcome)
    if found.state == "ok" or (not ended and found.state != "error" and now - found.logs_read_at < LOGS_S):
        return False
    try:
        is_new = told.keep_logs(run, cloud.logs(call_id, began(found, seen), datetime.now(UTC)))
    except Unreachable:
        return False
    manifest.update(run, logs_read_at=now)
    return is_new


def hint(run: Path, cloud: ModuleType, call_id: str, seen: list[Attempt], ended: bool) -> list[str]:
    """Keep the call graph, which is neither live nor complete; say it where no container has spoken.

    It alone may then tell a call that waits for its machine from a container that never came so far.
    """
    graph: list[dict[str, object]] = []
    with suppress(Unreachable):
        graph = cloud.graph(call_id)
        manifest.update(run, call_graph=graph)
    told = (f"{one.get('status')} in {one.get('task_id') or 'no container'}" for one in graph[:3])
    is_told = bool(graph) and not seen and not ended
    return [f"no container has spoken; Modal's call graph, a hint: {', '.join(told)}"] if is_told else []


def began(found: Manifest, seen: list[Attempt]) -> datetime:
    """When the run was begun, less what two clocks may differ by: a run of others, by its containers."""
    now = time.time()
    first = found.transitions[0].time if found.transitions else now - 86400
    first = min([first, now, *(one.began for one in seen if one.began)])
    return datetime.fromtimestamp(max(first - 60, now - KEPT_S), UTC)

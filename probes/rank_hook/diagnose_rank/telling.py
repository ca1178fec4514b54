"""What a program says of itself by `probes.step`, `phase` and `note`: stores in the page, few events."""

from time import time

from . import steps
from .session import emit, me
from .state import OWN

_APART_S = 1.0  # between events of one name: a call costs a store, an event twenty times that
_KNOWN = {"eval": 5, "checkpoint": 6, "load": 7}  # indexes into state.PHASES
_told: "dict[str, float]" = {}
_notes: "dict[str, object]" = {}
_pending: "dict[str, object]" = {}
_open: "list[tuple[str, float, bool, int]]" = []  # with the phase around it


def step() -> None:
    """The program counts its steps itself: from its first call on nobody else does."""
    page = me.page
    if page is not None and me.counts_steps:
        if page.step() == 1:  # a page of its own for a new rank
            steps.first()
    elif me.is_rank():
        if page is None and not me.is_announced:
            me.announce()
        me.counts_steps = True
        if me.page is not None and not me.page.num_steps:  # else its optimizer has just counted this one
            steps.count()


def enter(name: str) -> None:
    """A phase of the program's begins."""
    page = me.page
    if page is None:
        if not me.is_rank():
            return
        if not me.is_announced:
            me.announce()
        page = me.page
    now = time()
    around, me.phase = me.phase, _KNOWN.get(name, OWN)
    if page is not None:
        page.enter(me.phase, now)
    is_due = not 0 <= now - _told.get(name, 0.0) < _APART_S
    _open.append((name, now, is_due, around))
    if is_due:
        _told[name] = now
        emit("phase.started", phase=name[:60], by="program")


def leave() -> None:
    """The innermost of them ends."""
    if not _open:
        return
    name, began, is_told, me.phase = _open.pop()
    now = time()
    if me.page is not None:
        me.page.enter(me.phase, now)
    if is_told or now - began >= _APART_S:
        emit("phase.ended", phase=name[:60], by="program", seconds=round(now - began, 3), ok=True)


def note(data: "dict[str, object]") -> None:
    """Keep what is new; write it at once, or with the next one that is at least a second later."""
    fresh = {key: value for key, value in data.items() if key not in _notes or _notes[key] != value}
    if not fresh or not me.is_rank():
        return
    _notes.update(fresh)
    _pending.update(fresh)
    now = time()
    if not 0 <= now - _told.get("", 0.0) < _APART_S:
        _told[""] = now
        flush()


def flush() -> None:
    """Write what was noted and not yet written."""
    if _pending:
        from .redact import redact_value

        notes = redact_value({str(key)[:60]: _plain(value) for key, value in _pending.items()})
        _pending.clear()
        emit("run.noted", notes=notes)


def _plain(value: object) -> object:
    return value if value is None or isinstance(value, (bool, int, float)) else str(value)[:1000]

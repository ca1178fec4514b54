"""What a program says of itself by `probes.step`, `phase` and `note`: stores in the page, few events."""

from time import monotonic

from . import steps
from .session import emit, me
from .state import OWN, PHASES

_APART_S = 1.0  # between events of one name: a call costs a store, an event twenty times that
_told: "dict[str, float]" = {}
_notes: "dict[str, object]" = {}
_pending: "dict[str, object]" = {}
_open: "list[tuple[str, float, bool, int]]" = []  # with the phase around it


def step() -> None:
    """The program counts its steps itself: from its first call on nobody else does."""
    page = me.page
    if page is None or not me.is_rank():
        _begin()
        page = me.page
    if me.counts_steps:
        if page is not None and page.num_steps:
            page.step()
        else:
            steps.count()
    elif me.is_rank():
        me.counts_steps = True
        if page is None or not page.num_steps:  # else its optimizer has just counted this one
            steps.count()


def _begin() -> None:
    if me.is_rank() and not me.is_announced:
        me.announce()


def enter(name: str) -> None:
    """A phase of the program's begins."""
    if not me.is_rank():
        return
    _begin()
    around, me.phase = me.phase, (PHASES.index(name) if name in PHASES[OWN - 3 : OWN] else OWN)
    if me.page is not None:
        me.page.enter(me.phase)
    now = monotonic()
    is_due = now - _told.get(name, -_APART_S) >= _APART_S
    _open.append((name, now, is_due, around))
    if is_due:
        _told[name] = now
        emit("phase.started", phase=name[:60], by="program")


def leave() -> None:
    """The innermost of them ends."""
    if not _open or not me.is_rank():
        return
    name, began, is_told, me.phase = _open.pop()
    if me.page is not None:
        me.page.enter(me.phase)
    seconds = monotonic() - began
    if is_told or seconds >= _APART_S:
        emit("phase.ended", phase=name[:60], by="program", seconds=round(seconds, 3), ok=True)


def note(data: "dict[str, object]") -> None:
    """Keep what is new; write it at once, or with the next one that is at least a second later."""
    if not me.is_rank():
        return
    fresh = {key: value for key, value in data.items() if key not in _notes or _notes[key] != value}
    if not fresh:
        return
    _notes.update(fresh)
    _pending.update(fresh)
    now = monotonic()
    if now - _told.get("", -_APART_S) >= _APART_S:
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

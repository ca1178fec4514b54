"""The `history` of a `flight.group_read` event: the newest collectives of one rank in one group. Pure.

It is kept in columns, since a large job has millions of them: `runs` are the sequence numbers, `is_kind[i]`
says which of `kinds` the i-th is, and `created_s[i]` when it was launched.
"""

from collections.abc import Iterator

from diagnose.model import Event


def launches(event: Event) -> Iterator[tuple[int, float]]:
    """(sequence number, unix time) of each collective that tells when it was launched, in order."""
    columns = zip(seqs(event), column(event, "created_s"), strict=False)
    rows = ((row[0], row[2]) for row in entries(event))
    for seq, created in columns if column(event, "created_s") else rows:
        if isinstance(seq, int) and isinstance(created, int | float):
            yield seq, float(created)


def signatures(event: Event) -> dict[int, str]:
    """Sequence number -> signature."""
    found = {row[0]: str(row[1]) for row in entries(event) if isinstance(row[0], int)}
    kinds = [str(kind) for kind in column(event, "kinds")]
    pairs = zip(seqs(event), column(event, "is_kind"), strict=False)
    return found | {seq: kinds[i] for seq, i in pairs if isinstance(i, int) and i < len(kinds)}


def signature(event: Event, seq: int) -> str | None:
    """That of one collective, if it is still recorded."""
    row = next((row for row in entries(event) if row[0] == seq), None)
    if row is not None:
        return str(row[1])
    at = 0
    for run in column(event, "runs"):
        first, last = (run[0], run[-1]) if isinstance(run, list) and run else (0, -1)
        if first <= seq <= last:
            kind, kinds = column(event, "is_kind")[at + seq - first], column(event, "kinds")
            return str(kinds[kind]) if isinstance(kind, int) and kind < len(kinds) else None
        at += last - first + 1
    return None


def entries(event: Event) -> Iterator[list[object]]:
    """The open and the newest ones, as rows."""
    told = event.data.get("entries")
    return (
        (row for row in told if isinstance(row, list) and len(row) > 2)
        if isinstance(told, list)
        else iter(())
    )


def seqs(event: Event) -> list[int]:
    """Sequence numbers of the history, rising."""
    return [
        seq for run in column(event, "runs") if isinstance(run, list) for seq in range(run[0], run[-1] + 1)
    ]


def column(event: Event, name: str) -> list[object]:
    told = event.data.get("history")
    found = told.get(name) if isinstance(told, dict) else None
    return found if isinstance(found, list) else []

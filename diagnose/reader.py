"""From files to verdict and record, for every command that reads: a run directory or foreign evidence."""

import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from diagnose import bundle, event_lines, follow, manifest, record, sorting
from diagnose.contract import Manifest, RunRecord
from diagnose.pipeline import Told, diagnose_bundle, silent
from diagnose.playbook import Playbook
from diagnose.values import string
from diagnose.verdict import Verdict, encode, read
from probes.files import atomic_write

ENDED = {"ok", "error", "lost"}


def judge(run: Path, given: str, book: Playbook, told: Told = silent, explained: str = "") -> Verdict:
    """The verdict on what lies there now; `explained` names a failure to be explained.

    Raises bundle.BundleError where nothing can be read.
    """
    verdict = diagnose_bundle(string(given), bundle.members(str(run)), book, told, explained)
    found = manifest.read(run) if run.is_dir() else None
    if found is None:
        return verdict
    return msgspec.structs.replace(verdict, run=msgspec.structs.replace(verdict.run, name=found.run))


def look_back(
    given: Sequence[str], paths: Sequence[str], book: Playbook, told: Told = silent, explained: str = ""
) -> Verdict:
    """The verdict on all that lies at these places, `-` for standard input. Raises bundle.BundleError.

    `given`: the places as they were typed.
    """
    if len(paths) == 1 and paths[0] != bundle.STDIN:
        return examine(Path(paths[0]), given[0], book, told, explained)
    verdict = diagnose_bundle(string(" ".join(given)), bundle.several(paths), book, told, explained)
    name = ", ".join(Path(path).name or path for path in given)
    return msgspec.structs.replace(verdict, run=msgspec.structs.replace(verdict.run, name=string(name)))


def write(run: Path, verdict: Verdict) -> None:
    """Verdict first, record last: a record says that the verdict is final. Raises OSError."""
    atomic_write(run / "verdict.json", encode(verdict))
    if found := manifest.read(run):
        record.save(run, record.build(found, event_lines.lines(run)))


def examine(run: Path, given: str, book: Playbook, told: Told = silent, explained: str = "") -> Verdict:
    """Judge anew; in a run that has ended without a record (its parent was killed), leave both there."""
    is_run = run.is_dir() and manifest.path(run).is_file()
    found = follow.settle(run, socket.gethostname()) if is_run else None
    verdict = judge(run, given, book, told, explained)
    if found:
        verdict = msgspec.structs.replace(
            verdict, move=sorting.moved(run, found, recorded(run, found), verdict)
        )
    if found and found.state in ENDED and record.read(run) is None:
        with suppress(OSError):
            write(run, msgspec.structs.replace(verdict, explained=None))
    return verdict


def sorted_(run: Path, verdict: Verdict) -> Verdict:
    """The verdict with the run sorted by lane and stage, where it is a run of ours."""
    found = manifest.read(run) if run.is_dir() else None
    if found is None:
        return verdict
    told = recorded(run, found)
    return msgspec.structs.replace(
        verdict,
        move=sorting.moved(run, found, told, verdict),
        sorting=sorting.sort(run, found, told, verdict),
    )


def recorded(run: Path, found: Manifest) -> RunRecord:
    """The record as it lies there, or made of the events."""
    return record.read(run) or record.build(found, event_lines.lines(run))


def recall(run: Path, given: str, book: Callable[[], Playbook]) -> Verdict:
    """The final verdict as it lies there; judged anew where there is none yet."""
    kept = read(run) if record.read(run) is not None else None
    return kept or examine(run, given, book())

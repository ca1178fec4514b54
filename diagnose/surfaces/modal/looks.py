"""What the commands do with a run on Modal that is already under way, and what they say of it."""

import re
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from diagnose import manifest, runs
from diagnose.contract import Manifest
from diagnose.render.rows import safe
from diagnose.surfaces.modal import cloud, told
from diagnose.surfaces.modal.cloud_types import Line
from diagnose.surfaces.modal.collect import SETTLED_S, Look, NotModals, collect, words
from diagnose.surfaces.modal.hearing import began
from diagnose.surfaces.modal.outcome import Unreachable
from diagnose.surfaces.modal.seen import Attempt, attempts, is_each_ended, limits
from probes.redact import redact

SILENT_S = 90.0
RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}")


def look(run: Path) -> Look:
    """One look at it. Raises Unreachable."""
    try:
        return collect(run, cloud, socket.gethostname())
    except (NotModals, OSError) as error:
        raise Unreachable(str(error)) from error


def adopt(run: str, root: str | None, volume: str) -> Path:
    """A run that was launched elsewhere, by its id: its folder here, begun if need be. Raises Unreachable."""
    path = runs.root(root) / run
    if not RUN.fullmatch(run):
        raise Unreachable(f"{run}: no id of a run")
    here = manifest.read(path)
    if here is not None and here.volume != volume:
        raise Unreachable(f"{run} is here already, and on volume {here.volume or 'none'}, not on {volume}")
    if here is None:
        if not any(seen.path.startswith("attempts/") for seen in cloud.files(volume, run)):
            raise Unreachable(f"volume {volume} has no run {run}")
        try:
            path.mkdir(parents=True, exist_ok=True)
            manifest.begin(path, id=run, name=run, surface="modal", volume=volume)
        except OSError as error:
            raise Unreachable(f"{path}: {error.strerror or error}") from None
    return path


def following(run: Path, every_s: float | None) -> Iterator[str]:
    """Look until the run has ended and nothing more comes (once without `every_s`); what is new, in lines.

    Raises Unreachable where the first look cannot be made; a later one is made again.
    """
    before = ""
    while True:
        try:
            seen = look(run)
            text = "\n".join(f"diagnose: {line}" for line in lines(run, seen))
            is_over = seen.manifest.state in {*manifest.FINAL, "lost"} and not may_come(seen)
        except Unreachable as error:
            if not before:
                raise
            text, is_over = f"diagnose: Modal cannot be asked now, trying again: {error}", False
        if text != before:
            yield text
        before = text
        if every_s is None or is_over:
            return
        time.sleep(every_s)


def may_come(seen: Look) -> bool:
    """Whether a container that is being ended may still push, or its last files have only just come."""
    last = seen.manifest.transitions[-1]
    is_open = not is_each_ended(seen.attempts) and 0 <= time.time() - last.time < SETTLED_S
    return seen.num_fetched > 0 or (seen.manifest.state == "error" and is_open)


def lines(run: Path, seen: Look) -> list[str]:
    """Where the run stands, for people. No ages: two looks that saw the same say the same."""
    found, last = seen.manifest, seen.manifest.transitions[-1]
    out = [f"run {found.run}  {found.state}" + (f": {safe(last.reason)}" if last.reason else "")]
    if seen.attempts and seen.manifest.state not in manifest.FINAL:
        out.append(container(run, seen.attempts[-1]))
    out += [safe(note) for note in seen.notes]
    if found.state in {"error", "lost"}:
        out += [f"not seen: {text}" for text in limits(seen.attempts)]
    out += [f"not fetched: {safe(why)}" for why in seen.failed[:5]]
    out += [f"not fetched: {len(seen.failed) - 5} more"] if len(seen.failed) > 5 else []
    return out


def container(run: Path, newest: Attempt) -> str:
    """The newest container, and whether it has fallen silent."""
    text = f"container {newest.name}" + (f" since {clock_of(newest.began)}" if newest.began else "")
    if newest.has_ended or not (pushed := silent_since(run, newest.name)):
        return text
    return f"{text}, silent since {clock_of(pushed)}: it is gone, or its network is; Modal has not said so"


def silent_since(run: Path, attempt: str) -> float:
    """When a container that pushes every few seconds last did, if that is long ago; 0 where it is not."""
    files = [path for path in (run / "attempts" / attempt).rglob("*") if path.is_file()]
    pushed = max((path.stat().st_mtime for path in files), default=0.0)
    return pushed if time.time() - pushed > SILENT_S else 0.0


def is_under_way(run: Path) -> bool:
    """Whether the run goes on, as far as can be seen: its container pushes, or has yet to begin."""
    found = manifest.read(run)
    if found is None or found.state in {*manifest.FINAL, "lost"}:
        return False
    seen = attempts(words(run))
    return not seen or not (seen[-1].has_ended or silent_since(run, seen[-1].name))


def is_preflight(run: Path) -> bool:
    """Whether a report is to come of it, and not a verdict."""
    found = manifest.read(run)
    return found is not None and found.kind == "preflight"


def clock_of(when: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(when))


def of_modal(run: Path) -> tuple[Manifest, str]:
    """The manifest and the function call. Raises Unreachable where there is none to be asked for."""
    found = manifest.read(run)
    if found is None or found.surface != "modal":
        raise Unreachable(f"{run}: no run on Modal")
    if not found.function_call_id:
        raise Unreachable(f"{run}: Modal had no call of it")
    return found, found.function_call_id


def stop(run: Path, at_once: bool) -> None:
    found, call_id = of_modal(run)
    if found.state in manifest.FINAL:
        raise Unreachable(f"{run.name} has ended already: {found.state}")
    cloud.cancel(call_id, at_once)
    with manifest.turn(run):
        manifest.update(run, stop_asked_at=time.time())


def logs(run: Path) -> Iterator[str]:
    """All lines that the platform kept, oldest first; its own are kept with the run."""
    found, call_id = of_modal(run)
    own: list[Line] = []
    try:
        for line in cloud.logs(call_id, began(found, attempts(words(run))), datetime.now(UTC)):
            own += [line] if told.is_its_own(line) else []
            yield safe(redact(line.text.rstrip("\n")))
    finally:
        with manifest.turn(run):
            told.keep_logs(run, own)

"""Brings a run's events, logs and evidence from the spool to the run directory, whoever else dies.

It keeps no file of the destination open and never fails on it: what cannot be written now is written later.
"""

import argparse
import fcntl
import os
import select
import shutil
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from probes import layout, procfs
from probes.collecting.elastic import Places, outputs
from probes.collecting.logs import Logs
from probes.collecting.manifest import set_lost
from probes.collecting.release import Release
from probes.collecting.segments import Segments
from probes.collecting.wholes import Wholes
from probes.emit import grumble, open_log
from probes.files import remove_drafts
from probes.here import first_rank
from probes.watching import death, strays
from probes.watching.tail import parse

POLL_S, IDLE_S, LATE_S, GONE_S, RETRY_S = 0.25, 1.0, 10.0, 1.0, 5.0


class Collector:
    """One run's collector. `given` are the parsed arguments of the command line."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.given, self.spool, self.run_dir = given, given.spool, given.run_dir
        self.segments: dict[str, Segments] = {}
        self.wholes: dict[str, Wholes] = {}
        self.logs = Logs(os.path.join(self.spool, "collector.json"))
        self.logs.load()
        remove_drafts(os.path.join(self.run_dir, "attempts"))
        self.release = Release()
        self.places = Places(self.spool, first_rank())
        self.late: dict[str, float] = {}
        self.failing = ""
        path = layout.events_path(self.spool, given.attempt, "collector")
        self.log = open_log("collector", path, os.path.basename(self.run_dir.rstrip("/")), given.attempt)
        self.parent_fd = death.open_pidfd(given.parent, 0)
        self.ending, self.woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    # One round

    def round(self, is_final: bool = False) -> tuple[bool, bool]:
        """Bring over what is new: (was there anything, did all of it work)."""
        works: list[Callable[[], int]] = []
        for attempt in _names(os.path.join(self.spool, "attempts")):
            if attempt not in self.segments:
                self.segments[attempt] = Segments(self.spool, self.run_dir, attempt)
                self.wholes[attempt] = Wholes(self.spool, self.run_dir, attempt)
            works += [self.wholes[attempt].copy, lambda a=attempt: self.segments[a].seal(is_final)]  # type: ignore[misc]
        works.insert(0, lambda: self._logs(is_final))
        moved, good = 0, True
        for work in works:
            try:
                moved += work()
            except FileNotFoundError:  # an attempt's folder that is only being made
                continue
            except OSError as error:
                good = False
                self._complain(error.strerror or str(error))
        if good and self.failing:
            self._complain("")
        return moved > 0, good

    def _complain(self, error: str) -> None:
        """One line for each new state of the destination."""
        if error != self.failing:
            self.failing = error
            told = f"takes no data now ({error}): it is kept in {self.spool}" if error else "takes data again"
            grumble(f"collector: {self.run_dir} {told}")

    def _logs(self, is_final: bool) -> int:
        self.places.refresh()
        now = time.monotonic()
        for output in outputs(self.spool, self.given.attempt):
            first = self.late.setdefault(output.path, now)
            rank = self.places.rank(output, is_final or now - first > LATE_S)
            if rank is None:
                continue
            if output.name == "error.json":
                folder = os.path.join(layout.attempt_dir(self.run_dir, output.attempt), "errors")
                target = os.path.join(folder, f"{layout.rank_name(rank)}-elastic.json")
                self.wholes.setdefault(
                    output.attempt, Wholes(self.spool, self.run_dir, output.attempt)
                ).copy_one(output.path, target)
            elif os.stat(output.path).st_size:
                self.logs.add(layout.log_path(self.run_dir, output.attempt, rank), output.path)
        source = layout.spool_launcher_log(self.spool)
        if os.path.exists(source):
            self.logs.add(layout.launcher_log(self.run_dir, self.given.attempt), source)
        before = sum(log.size for log in self.logs.logs.values())
        for target in self.logs.append(is_final):
            self.log.warning("log.truncated", path=os.path.relpath(target, self.run_dir))
        return sum(log.size for log in self.logs.logs.values()) - before + self._release()

    def _release(self) -> int:
        """Of a full log only the end will be wanted. A launcher may still read its ranks'. Bytes freed."""
        own, freed = layout.spool_launcher_log(self.spool), 0
        for path, end in self.logs.spare():
            freed += self.release.until(path, end, None if path == own else strays.marked(self.given.mark))
        return freed

    # The loop and its ends

    def run(self) -> int:
        """Collect until SIGTERM, or until parent and agent are both gone."""
        signal.set_wakeup_fd(self.woken)  # before the handler: a SIGTERM in between would be lost
        signal.signal(signal.SIGTERM, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.log.info("collector.started", pid=os.getpid(), parent=self.given.parent)
        wait, gone_since = POLL_S, 0.0
        while True:
            moved, good = self.round()
            wait = RETRY_S if not good else POLL_S if moved else min(IDLE_S, wait * 1.5)
            if select.select([self.ending], [], [], wait)[0]:
                return self._end()
            if self._is_parent_alive() or self._is_agent_alive():
                gone_since = 0.0
            elif not gone_since:
                gone_since = time.monotonic()
            elif time.monotonic() - gone_since >= GONE_S:
                return self._lost()

    def _is_parent_alive(self) -> bool:
        if self.parent_fd >= 0:
            return not select.select([self.parent_fd], [], [], 0)[0]
        return procfs.is_alive(self.given.parent, 0)

    def _agent(self) -> dict[str, Any]:
        return parse(procfs.read(os.path.join(self.spool, "agent.json")) or b"") or {}

    def _is_agent_alive(self) -> bool:
        agent = self._agent()
        return bool(agent) and procfs.is_alive(int(agent["pid"]), int(agent["start_ticks"]))

    def _end(self) -> int:
        self.log.info("collector.ended", reason="told to")
        for _ in range(3):
            if self.round(is_final=True)[1]:
                return 0
            time.sleep(0.5)
        return 0

    def _lost(self) -> int:
        """Nobody else is left: end the job's processes, seal, say so in the manifest."""
        done = strays.end(self.given.mark or str(self._agent().get("mark") or ""))
        self.log.error("parent.lost", ended=done.ended, stuck=done.stuck)
        reason = "diagnose run and its agent are gone"
        if done.stuck:
            reason += f"; still there: {', '.join(done.stuck)}"
        self.log.info("collector.ended", reason=reason)
        while not self.round(is_final=True)[1]:
            time.sleep(RETRY_S)
        try:
            set_lost(self.run_dir, reason)
        except OSError as error:
            self._complain(error.strerror or str(error))
            return 0
        shutil.rmtree(self.spool, ignore_errors=True)
        return 0


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def main(argv: list[str] | None = None) -> int:
    """Bring a run from its spool to its run directory; ends on SIGTERM, or when nobody else is left."""
    parser = argparse.ArgumentParser(prog="python -m probes.collector", description=main.__doc__)
    parser.add_argument("--spool", required=True, metavar="DIR", help="the run's private local folder")
    parser.add_argument("--run-dir", required=True, metavar="DIR", help="where the run is to be kept")
    parser.add_argument(
        "--parent", required=True, type=int, metavar="PID", help="the process that runs the job"
    )
    parser.add_argument("--attempt", default="1", metavar="A", help="the first attempt (default 1)")
    parser.add_argument("--mark", default="", metavar="HEX", help="DIAGNOSE_MARK of the job's processes")
    given = parser.parse_args(argv)
    os.environ.pop("DIAGNOSE_MARK", None)
    lock = os.open(os.path.join(given.spool, "collector.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)  # one at a time: a killed one lets go
    return Collector(given).run()


if __name__ == "__main__":
    sys.exit(main())

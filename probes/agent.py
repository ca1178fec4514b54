"""The sidecar of a job: follows the ranks, samples them, sees deaths and stalls, takes evidence.

It never judges. One process, one thread; what may hang runs in children with deadlines.
"""

import argparse
import json
import os
import select
import signal
import sys
import time
from contextlib import suppress
from typing import Any

from probes import layout, procfs, stacks
from probes.emit import Log, open_log
from probes.files import atomic_write
from probes.rank_hook.diagnose_rank import state as pages
from probes.watching import death, strays
from probes.watching.followed import Followed
from probes.watching.held import Held
from probes.watching.host import Host
from probes.watching.left import Left
from probes.watching.looks import Looks
from probes.watching.rank import Rank
from probes.watching.sampler import SAMPLE_S, Sampler
from probes.watching.schedule import Schedule
from probes.watching.stalls import Stalls
from probes.watching.table import Table
from probes.watching.volumes import Volumes
from probes.watching.wake import Wake

VERSION = "0.1.0"
TICK_S, TABLE_S = 1.0, 3.0
NEWS = (".refused", ".died", ".stalled", ".stopped", ".lost", ".unwatched", ".expiring")
CRASHES = {4, 5, 6, 7, 8, 11, 31}
AFTER_DEATH_S, AFTER_EXIT_S = 1.0, 5.0  # the launcher ends the others by then; a normal end is over


class Agent:
    """State of the watch. `given` are the parsed arguments of the command line."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.given, self.spool = given, given.spool
        self.logs: dict[str, Log] = {}
        self.table = Table(given.mark, given.command_pid)
        self.followed = Followed(self.spool, given.attempt, self.table, self._say_of)
        self.sampler = Sampler(self.spool, self.table)
        self.host, self.held = Host(self.spool), Held()
        self.volumes = Volumes(self.spool)
        self.schedule = Schedule(self.spool)
        self.looks = Looks(self.spool, self._say)
        self.left = Left(self.spool, self._say_of)
        self.stalls = Stalls(given.attempt, given.stall_after, given.stall_after_first, self._say)
        self.wake = Wake()
        self.parent_fd = death.open_pidfd(given.parent_pid, 0) if given.parent_pid else -1
        self.table_due = 0.0
        self.ending, self.woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    # Saying

    def _log(self, attempt: str) -> Log:
        if attempt not in self.logs:
            path = layout.events_path(self.spool, attempt, "agent")
            self.logs[attempt] = open_log("agent", path, self.given.run, attempt)
        return self.logs[attempt]

    def _say(self, attempt: str, rank: int | None, kind: str, **data: Any) -> None:
        log = self._log(attempt)
        (log.warning if kind.endswith(NEWS) else log.info)(kind, rank=rank, **data)

    def _say_of(self, one: Rank, kind: str, **data: Any) -> None:
        self._say(one.attempt, one.rank, kind, **data)

    def _say_newest(self, kind: str, rank: int | None, **data: Any) -> None:
        self._say(self.stalls.attempt, rank, kind, **data)

    # The loop

    def run(self) -> int:
        """Watch until SIGTERM, or until the parent is gone; then end what it left and return."""
        signal.set_wakeup_fd(self.woken)  # before the handler: a SIGTERM in between would be lost
        signal.signal(signal.SIGTERM, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the job: the parent says when to end
        self._started()
        due = 0.0
        while True:
            now = time.monotonic()
            if now >= due:
                self._tick(now)
                due = now + (TICK_S if len(self.followed.ranks) >= 3 else TICK_S / 2)
            ready = self._wait(max(0.0, due - time.monotonic()))
            if self.ending in ready:
                return self._end()
            if self._parent_is_gone(ready):
                return self._lost()
            if self.looks.fd in ready:
                self.looks.read()
            if self.wake.fd in ready and self.wake.is_for_us():
                self._read_hooks(time.monotonic())
            self._bury(ready)

    def _wait(self, timeout_s: float) -> set[int]:
        poll = select.poll()
        fds = [self.ending, self.parent_fd, self.looks.fd, self.wake.fd]
        for fd in [*fds, *(one.pidfd for one in self.followed.ranks.values())]:
            if fd >= 0:
                poll.register(fd, select.POLLIN)
        return {fd for fd, _ in poll.poll(timeout_s * 1000)}

    def _started(self) -> None:
        me = procfs.stat(os.getpid())
        who = {"pid": os.getpid(), "start_ticks": me.start_ticks if me else 0, "mark": self.given.mark}
        with suppress(OSError):
            atomic_write(os.path.join(self.spool, "agent.json"), json.dumps(who).encode())
        self._say(
            self.given.attempt,
            None,
            "agent.started",
            pid=os.getpid(),
            stall_after_s=self.given.stall_after,
            stall_after_first_s=self.given.stall_after_first,
            on_stall=self.given.on_stall,
            py_spy=stacks.find_py_spy(),
            kernel_log=self.host.kernel.reason or "open",
            version=VERSION,
        )

    def _tick(self, now: float) -> None:
        self.wake.watch(self.spool)
        if now >= self.table_due:
            self.table_due = now + TABLE_S
            self.table.refresh()
            self.followed.scan()
            self.left.take()
            self._weigh(now)
        self._read_hooks(now)
        self.stalls.follow(self.followed.current())
        for one in list(self.followed.ranks.values()):
            self._update(one)
        self.host.listen(self.stalls.attempt)
        self._bury(set())
        ranks = self.followed.current()
        if cause := self.stalls.watch(ranks, now):
            self.looks.want(cause, now)
            for one in ranks:
                self.left.note(one)
        self.looks.begin(ranks, now)
        for one, rows in self.volumes.look(ranks, now) if self.looks.fd < 0 else ():
            self._say_of(one, "volumes.read", volumes=rows)
        if not self.stalls.silence.stalled and self.looks.fd < 0:
            self.schedule.take(ranks, now, self._say_newest)

    def _weigh(self, now: float) -> None:
        roots = [self.given.command_pid, *(one.pid for one in self.followed.current())]
        if held := self.held.sample(roots, self.table.below, now):
            self._say_newest("memory.sampled", None, **held)

    # Ranks

    def _read_hooks(self, now: float) -> None:
        for event in self.followed.read():
            if event.get("event") == "group.created":
                self.schedule.start(str(event.get("attempt")), now)
                self.stalls.limit(event.get("timeout_s"))
            elif event.get("event") == "exception.raised" and (one := self.followed.get(event)):
                one.is_ending = one.is_ending or event.get("thread") == "MainThread"
                self._sample(one)  # what it had open, and took, when it failed
                self.looks.want("raised", now)
        if "raised" in self.looks.due:
            self.looks.begin(self.followed.current(), now)

    def _update(self, one: Rank) -> None:
        for kind, when in self.sampler.update(one):
            if one.attempt == self.stalls.attempt and not one.is_ending:
                self.stalls.moved(one.rank, when, kind)
        if (one.stopped_ticks >= 2) != one.is_stopped:
            one.is_stopped = not one.is_stopped
            self._say_of(one, "rank.stopped" if one.is_stopped else "rank.continued", pid=one.pid)
        said = (one.is_stopped, one.phase, one.waiting, one.num_steps > 0)
        if said != one.said or time.monotonic() - one.sampled >= SAMPLE_S or self.looks.fd >= 0:
            one.said = said
            self._sample(one)

    def _sample(self, one: Rank) -> None:
        data = self.sampler.sample(one, self.stalls.silence.silent_s(one.rank, time.monotonic()))
        if data is not None:
            self._say_of(one, "rank.sampled", **data)
            self.host.read(one)

    def _time(self, one: Rank) -> None:
        """How long its steps took, of a rank that does not say so itself on its way out."""
        page = one.page(self.spool)
        if page is not None and not page.is_exiting:
            path = layout.state_path(self.spool, one.attempt, one.rank)
            if (told := pages.timings(path)) is not None:
                self._say_of(one, "steps.timed", **told)

    def _bury(self, ready: set[int]) -> None:
        for one in list(self.followed.ranks.values()):
            is_gone = one.pidfd in ready if one.pidfd >= 0 else not procfs.is_alive(one.pid, one.start_ticks)
            if not is_gone or (told := self.followed.bury(one)) is None:
                continue
            by_us = one.pid in self.looks.signalled and told.signal == one.stack_signal
            if told.signal in CRASHES and not by_us:  # a look under way may come too late for it
                self.schedule.at_crash(self.followed.current(), self._say_newest)
            self.sampler.update(one)  # its page outlives it
            self._time(one)
            data = {**told._asdict(), "after_signal_by_us": by_us, "num_steps": one.num_steps}
            self._say_of(one, "rank.died", pid=one.pid, **data)
            self.left.note(one)
            self.sampler.forget(one.pid)
            self.host.read(one, is_dead=True)
            self.host.listen(one.attempt)
            if one.attempt == self.stalls.attempt:
                self.stalls.silence.drop(one.rank)
            wait = AFTER_EXIT_S if told.exit_code == 0 else AFTER_DEATH_S
            self.looks.want("died", time.monotonic() + wait)

    # Ends

    def _parent_is_gone(self, ready: set[int]) -> bool:
        if self.parent_fd >= 0:
            return self.parent_fd in ready
        return bool(self.given.parent_pid) and not procfs.is_alive(self.given.parent_pid, 0)

    def _end(self, reason: str = "told to") -> int:
        self._read_hooks(time.monotonic())
        self.looks.hurry(1.2)
        for one in list(self.followed.ranks.values()):
            self._update(one)
            self._sample(one)
            self._time(one)
        self._bury({one.pidfd for one in self.followed.ranks.values()})
        self.host.listen(self.stalls.attempt)
        for one in self.followed.ranks.values():
            self.left.note(one)
        self.left.take()
        me = os.times()
        cpu_s = round(me.user + me.system + me.children_user + me.children_system, 2)
        self._say(self.given.attempt, None, "agent.ended", reason=reason, cpu_s=cpu_s)
        return 0

    def _lost(self) -> int:
        self.looks.finish()
        done = strays.end(self.given.mark)
        self._bury({one.pidfd for one in self.followed.ranks.values()})
        self._say(self.given.attempt, None, "parent.lost", ended=done.ended, stuck=done.stuck)
        return self._end("the parent is gone")


def main(argv: list[str] | None = None) -> int:
    """Watch the ranks of one job; started by `diagnose run`, ended by SIGTERM or by the end of its parent."""
    parser = argparse.ArgumentParser(prog="python -m probes.agent", description=main.__doc__)
    add = parser.add_argument
    add("--spool", required=True, metavar="DIR", help="the run's private local folder")
    add("--run", required=True, metavar="ID", help="the run's id, for the events")
    add("--attempt", default="1", metavar="A", help="the first attempt (default 1)")
    add("--command-pid", type=int, default=0, metavar="PID", help="the command that is watched")
    add("--parent-pid", type=int, default=0, metavar="PID", help="when it goes, the job is ended (0: never)")
    add("--mark", default="", metavar="HEX", help="DIAGNOSE_MARK of the job's processes")
    add("--stall-after", type=float, default=120.0, metavar="S", help="silence that counts as a stall (120)")
    add(
        "--stall-after-first",
        type=float,
        default=600.0,
        metavar="S",
        help="the same before the first step (600)",
    )
    add(
        "--on-stall",
        choices=["keep", "stop"],
        default="keep",
        help="recorded; acting on it is the parent's work",
    )
    given = parser.parse_args(argv)
    os.environ.pop("DIAGNOSE_MARK", None)  # its own children are not the job's
    return Agent(given).run()


if __name__ == "__main__":
    sys.exit(main())

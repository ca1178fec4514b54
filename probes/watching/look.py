"""The evidence ladder: all ranks at once, cheapest first, each rung with a deadline; two scans show moves.

Runs in a forked child of the agent, so that the agent goes on watching; what it says goes through `say`.
"""

import json
import os
import time
from collections.abc import Callable, Mapping

from probes import connections, control, deadline, dumps, flight, procfs, source, stacks
from probes.files import atomic_write
from probes.redact import redact
from probes.watching import places, process, standing
from probes.watching.behind import Behind, locked
from probes.watching.deeper import Deeper
from probes.watching.rank import Rank

FLIGHT_S, PIPE_S, STACK_S, SIGNAL_S, BETWEEN_S, PLACES_S, NATIVE_S = 1.5, 3.0, 2.0, 1.0, 2.0, 1.5, 8.0

Say = Callable[..., None]  # say(kind, rank, **data)


def new_time_dir(attempt_folder: str) -> str:
    """A folder name in whole unix seconds that neither stacks/ nor flight/ has yet."""
    second = int(time.time())
    while any(
        os.path.exists(os.path.join(attempt_folder, kind, str(second))) for kind in ("stacks", "flight")
    ):
        second += 1
    return str(second)


class Look:
    """One look at `ranks`, all of one attempt. `spool` is the folder that holds `attempts/`.

    `may_signal`: a rank whose stack nobody else gives may be sent its stack signal. `native`: the second
    scan shows C++ frames, too; each rank is paused for it for a moment.
    """

    def __init__(
        self,
        ranks: list[Rank],
        spool: str,
        cause: str,
        say: Say,
        may_signal: bool = True,
        native: bool = False,
    ) -> None:
        self.ranks, self.spool, self.cause, self.say = ranks, spool, cause, say
        self.may_signal, self.native = may_signal, native
        self.folder = ranks[0].folder(spool)
        self.dumb: set[tuple[int, str]] = set()  # (rank, rung) that was refused in the first scan
        self.deeper = Deeper(say, self._write)
        self.time_dir = ""
        self.scan = 0
        self.is_hurried = False
        self.standing: dict[int, list[source.Frame]] = {}  # rank: its program's frames

    def hurry(self) -> None:
        """Leave out the second scan."""
        self.is_hurried = True

    def take(self, between_s: float = BETWEEN_S) -> None:
        """Both scans; `evidence.taken` comes last."""
        begun, dirs, self.scan = time.monotonic(), list[str](), 1
        self.time_dir = new_time_dir(self.folder)
        self.say("evidence.started", None, time_dir=self.time_dir, cause=self.cause)
        if self._scan(dirs) and self._wait(between_s):
            self.scan, self.time_dir = 2, new_time_dir(self.folder)
            self._scan(dirs)
        self.say(
            "evidence.taken",
            None,
            time_dir=dirs[0] if dirs else self.time_dir,
            time_dirs=dirs,
            seconds=round(time.monotonic() - begun, 3),
            ranks=[one.rank for one in self.ranks],
            cause=self.cause,
        )

    def _wait(self, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while not self.is_hurried and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))
        return not self.is_hurried

    def _scan(self, dirs: list[str]) -> bool:
        """One scan; False when nobody is left to look at."""
        there: list[Rank] = []
        for one in self.ranks:
            if procfs.is_alive(one.pid, one.start_ticks):
                there.append(one)
            else:
                self._refuse_all(one, "process has gone")
        if not there:
            return False
        dirs.append(self.time_dir)
        for kind in ("stacks", "flight"):
            os.makedirs(os.path.join(self.folder, kind, self.time_dir), mode=0o700, exist_ok=True)
        self._flight(there)
        tables = connections.Tables()
        ends = Behind({one.pid: one.rank for one in there}, tables)
        for one in there:  # before the stacks: a rank that is paused for them runs afterwards
            self._proc(one, ends)
            self._connections(one, tables)
        self._stacks(there)
        if self.scan == 1:
            self._places(there)
        self.deeper.workers(there, self.scan, self.time_dir, ends)
        if self.scan == 2:
            still = [one for one in self.deeper.may_hold(there) if not one.is_leaving(self.spool)]
            self.deeper.interpreters(self._reachable(still, "gil"), self.time_dir)
        return True

    def _refuse_all(self, one: Rank, reason: str) -> None:
        if self.scan == 1:
            self.say("stack.refused", one.rank, via="proc", reason=reason)
            self.say("flight.refused", one.rank, reason=reason)

    def _write(self, kind: str, one: Rank, ending: str, data: bytes) -> str:
        name = f"{kind}/{self.time_dir}/rank-{one.rank:05d}.{ending}"
        atomic_write(os.path.join(self.folder, name), data)
        return f"attempts/{one.attempt}/{name}"

    def _reachable(self, ranks: list[Rank], rung: str) -> dict[int, str]:
        """Sockets of those whose control server can be asked; why the others cannot is said once."""
        sockets: dict[int, str] = {}
        for one in ranks:
            stopped = (now := procfs.stat(one.pid)) is not None and now.state in "Tt"
            reason = "stopped (state T)" if stopped else ""
            if not one.socket or not os.path.exists(one.socket):
                page = one.page(self.spool)
                reason = "on its way out" if page and page.is_exiting else "no control server"
            if not reason and one.socket and (one.rank, "control_server") not in self.dumb:
                sockets[one.rank] = one.socket
            elif reason and self.scan == 1 and rung == "flight":
                self.say("flight.refused", one.rank, reason=reason)
        return sockets

    def _flight(self, ranks: list[Rank]) -> None:
        sockets = self._reachable(ranks, "flight")
        by_rank = {one.rank: one for one in ranks}
        for rank, pong in control.post_many({r: (s, "ping") for r, s in sockets.items()}, 1.0).items():
            if pong.error:
                self.dumb.add((rank, "control_server"))
                self.say("flight.refused", rank, reason=f"ping: {pong.error}")
                del sockets[rank]
        for rank, reply in flight.ask(sockets, FLIGHT_S).items():
            if reply.error:
                self.dumb.add((rank, "control_server"))
                self.say("flight.refused", rank, reason=reply.error)
            else:
                self._keep_dump(by_rank.pop(rank), reply.body, "control_server")
        if self.may_signal:  # the pipe makes the rank itself write something
            self._by_pipe([one for one in by_rank.values() if (one.rank, "pipe") not in self.dumb])
        if self.scan == 1:
            asked = {r: (s, "wait_counter_values") for r, s in sockets.items()}
            for rank, reply in control.post_many(asked, 0.5).items():
                if not reply.error:
                    self.say("wait_counters.read", rank, counters=reply.body.decode(errors="replace")[:4000])

    def _by_pipe(self, ranks: list[Rank]) -> None:
        for rank, told in dumps.ask(ranks, PIPE_S).items():
            if isinstance(told, str):
                self.dumb.add((rank, "pipe"))
                self.say("flight.refused", rank, via="pipe", reason=told)
            else:
                self._keep_dump(next(one for one in ranks if one.rank == rank), told.body, "pipe")

    def _keep_dump(self, one: Rank, body: bytes, via: str) -> None:
        path = self._write("flight", one, flight.ending(body), body)
        self.say("flight.dumped", one.rank, path=path, dir=self.time_dir, scan=self.scan, via=via)

    def _stacks(self, ranks: list[Rank]) -> None:
        left = {one.rank: one for one in ranks}
        asked = {r: one.pid for r, one in left.items() if (r, "py_spy") not in self.dumb}
        if self.native and self.scan == 2:
            deep = stacks.from_outside(asked, NATIVE_S, native=True)
            self._keep("py_spy", left, {r: got for r, got in deep.items() if not isinstance(got, str)})
            asked = {r: pid for r, pid in asked.items() if r in left}
        self._keep("py_spy", left, stacks.from_outside(asked, STACK_S) if asked else {})
        sockets = self._reachable(list(left.values()), "stack")
        self._keep("control_server", left, stacks.from_inside(sockets, STACK_S) if sockets else {})
        if self.scan == 1:  # the signal cuts short a sleep in the rank: once is enough
            for one in left.values():
                self._by_signal(one)

    def _keep(self, via: str, left: dict[int, Rank], got: Mapping[int, stacks.Threads | bytes | str]) -> None:
        for rank, answer in got.items():
            if isinstance(answer, str):
                self.dumb.add((rank, via))
                self.say("stack.refused", rank, via=via, reason=answer, scan=self.scan)
                continue
            one = left.pop(rank)
            if isinstance(answer, list):
                self.deeper.note(rank, answer, self.scan)
                self.standing[rank] = source.own_frames(source.main_thread(answer))
            path = self._write("stacks", one, *stacks.document(via, one.pid, rank, answer))
            self.say("stack.dumped", rank, path=path, dir=self.time_dir, via=via, scan=self.scan)

    def _by_signal(self, one: Rank) -> None:
        faults = one.faults(self.spool)
        reason = "the program uses the signal itself" if one.usr2_taken else ""
        if one.stack_signal > 0 and not self.may_signal:
            reason = "not asked by a signal without --signal"
        reason = reason or stacks.may_signal(one.pid, one.start_ticks, one.stack_signal, faults, one.stack_fd)
        if not reason and (now := procfs.stat(one.pid)) and now.state in "TtD":
            reason = f"state {now.state}: it would not answer a signal"
        if not reason:
            self.say("signal.sent", one.rank, pid=one.pid, signal=one.stack_signal, why="stacks")
            try:
                text = stacks.by_signal(one.pid, one.stack_signal, faults, SIGNAL_S)
            except OSError as error:
                text, reason = None, error.strerror or str(error)
            if text:
                path = self._write("stacks", one, "txt", redact(text).encode())
                self.say("stack.dumped", one.rank, path=path, dir=self.time_dir, via="faulthandler", scan=1)
                return
            reason = reason or f"nothing written within {SIGNAL_S} s"
        self.say("stack.refused", one.rank, via="faulthandler", reason=reason, scan=self.scan)

    def _places(self, ranks: list[Rank]) -> None:
        """What the programs' source says of the places where the ranks stand."""

        def read() -> bytes:
            pids = {one.rank: one.pid for one in ranks}
            told = {r: places.of_frames(frames, pids[r]) for r, frames in self.standing.items()}
            return json.dumps(told).encode()

        for rank, told in json.loads(deadline.call(read, PLACES_S) or b"{}").items():
            if told:
                self.say("stack.placed", int(rank), dir=self.time_dir, places=told)

    def _proc(self, one: Rank, ends: Behind) -> None:
        if (data := process.describe(one.pid)) is not None:
            data |= {**standing.describe(one.pid), "behind": ends.of(one.pid), "locked": locked(one.pid)}
            self.say("proc.dumped", one.rank, dir=self.time_dir, scan=self.scan, **data)

    def _connections(self, one: Rank, tables: connections.Tables) -> None:
        data = tables.own(one.pid)
        if data is not None and data["num_connections"]:
            self.say("connections.read", one.rank, dir=self.time_dir, scan=self.scan, **data)

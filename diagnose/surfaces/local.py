"""Ranks on this machine: start the command with its helpers, look, stop, fetch what they left."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from diagnose import __version__, follow, installed, manifest, provenance
from diagnose.children import HOOK, Helper, end_marked, is_held, marked, of_job, send
from diagnose.contract import Change
from diagnose.environment import plan, shown
from diagnose.interpreter import assigned, interpreter, torch_version
from diagnose.journal import Journal, sealed
from diagnose.playbook import Environment
from diagnose.terminal import Screen, Tee
from probes import allowance
from probes.here import cluster
from probes.layout import elastic_dir, events_path, spool_launcher_log
from probes.redact import redact_argv

START_S = 5.0  # for a helper's imports, where nothing is cached
GRACE_S = 5.0  # from SIGTERM to SIGKILL, for what the command left behind


class Job(NamedTuple):
    """What is to be run, and how it is watched."""

    command: Sequence[str]
    run: Path  # the run directory, already made
    name: str
    policies: Sequence[Environment]
    stall_after_s: float
    stall_after_first_s: float
    on_stall: str
    attempt: str = "1"  # of the launcher's first start
    mode: str = ""  # how the ranks share the model, one of environment.MODES
    lane: str = ""


class NotStarted(Exception):
    """The command could not be started. `code` is what a shell would exit with: 126 or 127."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def lookup(command: Sequence[str], environ: Mapping[str, str]) -> None:
    """Raises NotStarted where the command cannot be run, before anything is made for it."""
    word = command[0]
    if shutil.which(word, path=environ.get("PATH")):
        return
    if os.sep in word and Path(word).exists():
        raise NotStarted(126, f"{word}: {'a folder' if Path(word).is_dir() else 'not executable'}")
    how = f"; to set it: env {word} COMMAND" if "=" in word and os.sep not in word.partition("=")[0] else ""
    raise NotStarted(127, f"{word}: command not found{how}")


def scratch() -> str:
    """Where the spool goes: the temporary folder, unless its path leaves no room for a rank's unix socket.

    A socket's path ends at 107 bytes. Without the sockets nobody can ask a blocked rank for its collectives.
    """
    folder, longest = tempfile.gettempdir(), "/dg-12345678/sock/r9999-4194304.sock"
    is_short = len(os.fsencode(folder + longest)) <= 107
    return folder if is_short or not os.access("/tmp", os.W_OK) else "/tmp"


class Local:
    """One run on this machine. `complain` is told, a line at a time, what goes wrong beside the command."""

    def __init__(self, job: Job, screen: Screen, complain: Callable[[str], None]) -> None:
        """Make the spool and the manifest. Raises OSError."""
        self.job, self.screen, self.complain = job, screen, complain
        self.mark = secrets.token_hex(8)
        self.spool = Path(tempfile.mkdtemp(prefix="dg-", dir=scratch()))
        try:
            self._begin()
        except BaseException:
            self.clear()
            raise

    def _begin(self) -> None:
        job = self.job
        for folder in (f"attempts/{job.attempt}/flight/watchdog", "sock", "pipes", "elastic"):
            (self.spool / folder).mkdir(parents=True)
        (self.spool / follow.MARK).write_text(self.mark)
        (self.spool / follow.OWNER).write_bytes(os.fsencode(job.run))
        manifest.begin(
            job.run,
            id=job.run.name,
            name=job.name,
            command=redact_argv(list(job.command)),
            node=socket.gethostname(),
            boot=follow.boot_id(),
            pid=os.getpid(),
            start_ticks=follow.start_ticks(os.getpid()),
            spool=str(self.spool),
            root=str(job.run.parent),
            lane=job.lane,
        )
        self.journal = Journal(self.spool, job.run.name, job.attempt, self.complain)
        self.log = os.open(
            spool_launcher_log(str(self.spool)), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        self.tees = [Tee(fd, self.log, self.screen) for fd in (1, 2)]
        self.changes: list[Change] = []
        self.process: subprocess.Popen[bytes] | None = None
        errors = self.spool / "helpers.err"
        self.collector = Helper("collector", self._collector_arguments(), errors)
        self.agent = Helper("agent", [], errors)
        self.shares_terminal = os.isatty(0)
        self.reading = threading.Thread(target=self._read_checkout, daemon=True)

    def _collector_arguments(self) -> list[str]:
        where = ["--spool", str(self.spool), "--run-dir", str(self.job.run)]
        return [*where, "--parent", str(os.getpid()), "--attempt", self.job.attempt, "--mark", self.mark]

    def _agent_arguments(self, pid: int) -> list[str]:
        job = self.job
        options = {
            "--spool": self.spool,
            "--run": job.run.name,
            "--attempt": job.attempt,
            "--command-pid": pid,
            "--parent-pid": os.getpid(),
            "--mark": self.mark,
            "--stall-after": job.stall_after_s,
            "--stall-after-first": job.stall_after_first_s,
            "--on-stall": job.on_stall,
        }
        return [str(part) for pair in options.items() for part in pair]

    def environ(self) -> dict[str, str]:
        """The command's environment; `changes` says what in it is ours."""
        fill = {
            "spool": str(self.spool),
            "attempt": self.job.attempt,
            "elastic": elastic_dir(str(self.spool)),
        }
        job = self.job
        given = assigned(job.command, os.environ)
        python = interpreter(job.command, given) if job.policies else None
        torch = torch_version(python, given) if python else ""
        planned = plan(job.command, os.environ, job.policies, fill, torch, job.mode)
        self.changes = [shown(change) for change in planned.changes]
        path = planned.environ.get("PYTHONPATH", "")
        return planned.environ | {
            "PYTHONPATH": f"{HOOK}{os.pathsep}{path}" if path else str(HOOK),
            "DIAGNOSE_SPOOL": str(self.spool),
            "DIAGNOSE_RUN": self.job.run.name,
            "DIAGNOSE_ATTEMPT": self.job.attempt,
            "DIAGNOSE_PARENT_PID": str(os.getpid()),
            "DIAGNOSE_MARK": self.mark,
        }

    def start(self) -> None:
        """Collector, command, agent. Raises NotStarted when the command cannot be run."""
        environ = self.environ()
        for change in self.changes:
            self.journal.say(
                "environment.changed", **{f: getattr(change, f) for f in change.__struct_fields__}
            )
        self._help(self.collector)
        try:
            for tee in self.tees:  # before the command: a user may have no thread left
                tee.start()
            self.process = subprocess.Popen(
                self.job.command,
                env=environ,
                stdout=self.tees[0].given,
                stderr=self.tees[1].given,
                process_group=None if self.shares_terminal else 0,
            )
        except RuntimeError as error:
            raise NotStarted(
                126, f"{self.job.command[0]}: {error}: Resource temporarily unavailable"
            ) from None
        except OSError as error:
            code = 127 if isinstance(error, FileNotFoundError) else 126
            raise NotStarted(code, f"{self.job.command[0]}: {error.strerror or error}") from None
        finally:
            for tee in self.tees:
                os.close(tee.given)
        versions = {"diagnose": __version__, "diagnose_python": sys.version.split()[0]}
        argv = redact_argv(list(self.job.command))
        self.journal.say("command.started", pid=self.process.pid, argv=argv, versions=versions, **cluster())
        self.journal.say(
            "command.described",
            words=provenance.arguments(self.job.command),
            lane=self.job.lane,
            variables=provenance.variables(environ, str(self.spool)),
            image=provenance.image(environ),
            driver=provenance.driver(),
            host=allowance.host(),
            folder=provenance.folder(),
        )
        self.agent.argv += self._agent_arguments(self.process.pid)
        self._help(self.agent)
        self.move("running")
        with suppress(RuntimeError):  # a user may have no thread left
            self.reading.start()

    def _read_checkout(self) -> None:
        told: dict[str, Any] = provenance.checkout(self.job.command)
        self.journal.say("checkout.read", **told)
        given = assigned(self.job.command, os.environ)
        if python := interpreter(self.job.command, given):
            found = installed.packages(python, given)
            # As words: by their names alone some packages would pass for secrets.
            self.journal.say("packages.read", packages=[" ".join(pair) for pair in found.items()])

    def _help(self, helper: Helper) -> None:
        try:
            helper.start()
        except OSError as error:
            self.complain(f"the {helper.name} cannot be started: {error.strerror or error}")

    def move(self, state: str, reason: str = "", **fields: object) -> None:
        """Advance the manifest; a full disk stops nothing."""
        try:
            manifest.advance(self.job.run, state, reason, **fields)
        except OSError as error:
            self.complain(f"the manifest cannot be written: {error.strerror or error}")

    def look(self) -> int | None:
        """The command's exit code once it has ended (negative: a signal); keeps the helpers alive."""
        assert self.process
        for helper in (self.agent, self.collector):
            if (code := helper.look()) is not None:
                is_back = helper.process is not None
                self.journal.say("helper.restarted", "warning", who=f"the {helper.name}", code=code)
                told = "started again" if is_back else "not started again"
                self.complain(f"the {helper.name} has died ({code}); {told}")
        return self.process.poll()

    def forward(self, signum: int) -> None:
        """Pass a signal on to the command alone, as it would have got it without us."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signum)

    def stop(self, why: str, signum: int = signal.SIGTERM, everyone: bool = False) -> None:
        """Ask the command to end; `everyone`: all of its processes, wherever they have gone."""
        assert self.process
        pids = of_job(self.mark, self._group()) if everyone else [self.process.pid]
        for pid in pids:
            self.journal.say("signal.sent", "warning", pid=pid, signal=int(signum), why=why)
        send(pids, signum)
        if signum != signal.SIGKILL:
            send(pids, signal.SIGCONT)  # a stopped process must run to take its SIGTERM

    def _group(self) -> int:
        """The command's process group, where it has one of its own."""
        return self.process.pid if self.process and not self.shares_terminal else 0

    def wake(self) -> None:
        """Let stopped processes run that were asked to end; one that was not would train on."""
        send((pid for pid in marked(self.mark) if is_held(pid)), signal.SIGCONT)

    def ended(self, code: int, nap: Callable[[float], None] = time.sleep) -> list[str]:
        """Write down how the command ended, and end what it left behind; who cannot be ended is named."""
        how = {"exit_code": code} if code >= 0 else {"signal": -code}
        self.journal.say("command.ended", "info" if code == 0 else "warning", **how)
        pids, stuck = end_marked(self.mark, GRACE_S, nap, self._group())
        if pids or stuck:
            self.journal.say("strays.ended", "warning", pids=pids, left=stuck)
        for tee in self.tees:
            if tee.ident is not None:
                tee.finish()
        return stuck

    def fetch(self) -> bool:
        """End the helpers, the collector last: all that was taken is in the run directory then."""
        with suppress(OSError):
            os.close(self.log)
        self.agent.end(15.0)
        if self.reading.ident is not None:
            self.reading.join(1.0)
        self._await(self.collector, 0)
        return self.collector.end(60.0) or self.collect_again()

    def bring(self) -> bool:
        """End the helpers; whether all that was taken is in the run directory then, after two tries."""
        run = self.job.run
        return (self.fetch() and sealed(self.spool, run)()) or (
            self.collect_again() and sealed(self.spool, run)()
        )

    def _told(self) -> int:
        """How much collectors have said so far; the first they say is that they listen to signals."""
        path = Path(events_path(str(self.spool), self.job.attempt, "collector"))
        return path.stat().st_size if path.exists() else 0

    def _await(self, collector: Helper, told: int) -> None:
        """A SIGTERM before it listens would end it with its work undone: a start may take seconds.

        What it has said shows that it listens where the kernel does not; a full spool keeps that from us.
        """
        end = time.monotonic() + START_S
        while collector.is_alive() and time.monotonic() < end:
            listens = collector.listens()
            if listens or (listens is None and self._told() > told):
                return
            time.sleep(0.02)

    def collect_again(self) -> bool:
        """The collector died at the end, or left something: one more may seal what there is."""
        again = Helper("collector", self._collector_arguments(), self.spool / "helpers.err")
        with suppress(OSError):
            told = self._told()
            again.start()
            self._await(again, told)
            return again.end(30.0)
        return False

    def clear(self) -> None:
        """Remove the spool."""
        shutil.rmtree(self.spool, ignore_errors=True)

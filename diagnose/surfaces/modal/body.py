"""What runs in the container: the command under `diagnose run`, its evidence on the volume while it runs.

Modal's runtime calls `job` with plain JSON and hands on what it returns, plain JSON too. The same input may
run again at any time, in another container: each is an attempt of its own, named by its task id.
"""

import io
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

from diagnose import children
from diagnose.surfaces.modal import checking, cluster, reporting
from diagnose.surfaces.modal.environ import variables
from diagnose.surfaces.modal.push import Pusher, Volume
from probes import procfs
from probes.here import node
from probes.redact import redact

PROGRAM = [sys.executable, "-P", "-m", "diagnose"]
NAP_S = 0.25
# Of the 30 s that a preemption leaves: for the command, for all of its processes, and for the last push.
ENDING = ((signal.SIGTERM, 10.0), (signal.SIGTERM, 6.0), (signal.SIGKILL, 1.0))
LAST_PUSH_S, SLOW_PUSH_S, CAPTURE_S = 8.0, 120.0, 30.0
CAPTURED_S = 3.0  # so long, behind a short command
# What may be recorded of the container. Its environment also holds a token.
TOLD = ("IMAGE_ID", "REGION", "CLOUD_PROVIDER", "ENVIRONMENT")
# What an interruption says of the platform.
SAID = {
    "KeyboardInterrupt": (
        "platform.preempted",
        "SIGINT: Modal takes the container away (a preemption; `modal container stop` looks the same)",
    ),
    "InputCancellation": ("platform.cancelled", "the function call was cancelled"),
}
SIGNS = {"KeyboardInterrupt": "SIGINT"}  # what else may be behind it, the platform's own log tells


class Ended(KeyboardInterrupt):
    """A signal that is nothing of Modal's ends the container."""


def job(spec: dict[str, Any]) -> dict[str, Any]:
    """Run one attempt: {"status": "ok" | "error", "exit_code", "attempt", "symptom", "causes", ...}.

    Raises nothing but what ends a container: KeyboardInterrupt (it is taken away, and the input runs again),
    and the cancellation of the input.
    """
    try:
        return Attempt(spec, uploader(str(spec["volume"]), str(spec["run"]))).run()
    except Exception as error:  # an exception may not be readable where the result is read
        text = redact(f"{type(error).__name__}: {error}"[:2000])
        return {"status": "error", "kind": "body_failed", "text": text, "attempt": attempt_name()}


def run(command: Sequence[str], volume: str, run: str, **more: Any) -> dict[str, Any]:
    """For a Modal function of your own: run `command` here, watched, its evidence pushed to `volume`.

    `run` is the id to collect it by: `diagnose modal collect RUN --volume VOLUME`. `more`: name, workdir,
    env, mode, stall_after_s, on_stall, push_s, mounts ([[volume, path], ...]), cache (where a cache volume
    is mounted), cache_gate, lane, reduced, and to be recorded gpu, memory_mib, timeout_s. Answers like `job`.
    """
    return job({"name": run, **more, "command": list(command), "volume": volume, "run": run})


def attempt_name() -> str:
    given = os.environ.get("MODAL_TASK_ID", "")
    return given if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", given) else "1"


def place(run: str, attempt: str) -> tuple[Path, str]:
    """Where the run lies in the container, and the attempt: in a container used again it is another one.

    Raises ValueError where `run` is no name of a folder.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}", run):
        raise ValueError(f"{run}: no id of a run")
    top = Path(tempfile.gettempdir()) / "diagnose"
    number = next(number for number in count(1) if not (top / str(number) / run).exists())
    return top / str(number) / run, attempt if number == 1 else f"{attempt}.{number}"


def uploader(volume_name: str, run: str) -> Volume:
    """How files get to the volume, without its mount: visible there as soon as this returns."""
    import modal

    volume = modal.Volume.from_name(volume_name, create_if_missing=True, version=2)

    def put(files: list[tuple[str, bytes]]) -> None:
        with volume.batch_upload(force=True) as batch:
            for path, data in files:
                batch.put_file(io.BytesIO(data), f"/{run}/{path}")

    return Volume(put, lambda path: volume.remove_file(f"/{run}/{path}", recursive=True))


class Attempt:
    """One container's part of a run."""

    def __init__(self, spec: dict[str, Any], volume: Volume) -> None:
        self.spec, self.begun, self.num_events = spec, time.monotonic(), 0
        self.path, self.name = place(str(spec["run"]), attempt_name())
        self.own = self.path / "attempts" / self.name
        self.node = cluster.here(spec["command"], str(spec.get("gpu") or ""))
        self.pusher = Pusher(self.path, volume, float(spec.get("push_s") or 5.0))

    def run(self) -> dict[str, Any]:
        self.say("container.started", **self.here())
        if checkout := self.spec.get("checkout"):
            self.say("checkout.read", **checkout)
        self.pusher.start()
        capturing = threading.Thread(target=self.capture, daemon=True)
        capturing.start()
        try:
            code = self.watch()
            capturing.join(CAPTURED_S)
        finally:
            if self.pusher.is_alive():  # what ends it otherwise has pushed already
                self.pusher.finish(SLOW_PUSH_S)
        is_pushed = not self.pusher.failure and not self.pusher.is_alive()
        return {
            "status": "ok" if self.is_well(code) else "error",
            "exit_code": code,
            "run": self.spec["run"],
            "attempt": self.name,
            "seconds": round(time.monotonic() - self.begun, 1),
            "pushed": "whole" if is_pushed else self.by_mount(),
            "push_failure": self.pusher.failure,
            "failed_checks": checking.failed(self.own),
            **self.found(is_pushed),
        }

    def capture(self) -> None:
        """Record what this container offers to probes, beside the command."""
        path = self.own / "host" / "environment.json"
        with suppress(OSError):
            children.ask("environment", ["--out", str(path)], b"", CAPTURE_S)

    def is_well(self, code: int) -> bool:
        """Whether it did what was asked: a pre-flight that found much has done so too."""
        return checking.is_made(self.own) if "checks" in self.spec else code == 0

    def watch(self) -> int:
        """Run the command to its end; the code it ended with."""
        process = subprocess.Popen(
            self.command(),
            cwd=self.spec.get("workdir") or None,
            env=self.environ(),
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # signals of the platform are for us alone
        )
        try:
            with handled(signal.SIGTERM, raised):  # by itself it would end us with nothing pushed
                while process.poll() is None:
                    time.sleep(NAP_S)
        except BaseException as error:
            self.end(process, error)
            raise
        if failed := checking.failed(self.own):
            self.say("preflight.failed", "error", failed=failed)
        self.say("container.ended", exit_code=process.returncode)
        return process.returncode

    def environ(self) -> dict[str, str]:
        given = {**variables(self.spec, self.node), **self.end_of_job()}
        return checking.variables(self.spec, given, self.name) if "checks" in self.spec else given

    def end_of_job(self) -> dict[str, str]:
        """When Modal ends the job (of checks alone: the one to come), for who ends a hang first."""
        limit = self.spec.get("job_timeout_s", self.spec.get("timeout_s"))
        past = 0.0 if "checks" in self.spec else time.monotonic() - self.begun
        if not isinstance(limit, int | float):
            return {}
        return {"DIAGNOSE_ENDS_AT": f"{time.time() + limit - past:.0f}"}

    def command(self) -> list[str]:
        spec = self.spec
        if "checks" in spec:
            return [*PROGRAM, *checking.words(spec, self.own)]
        options = {
            "--run-dir": self.path,
            "--attempt": self.name,
            "--name": spec["name"],
            "--env": spec.get("env") or "policy",
            "--on-stall": spec.get("on_stall") or ("stop" if spec.get("reduced") else "keep"),
            **({"--stall-after": spec["stall_after_s"]} if spec.get("stall_after_s") else {}),
            **({"--mode": spec["mode"]} if spec.get("mode") else {}),
            **({"--preflight": spec["preflight"]} if spec.get("preflight") else {}),
            **({"--lane": spec["lane"]} if spec.get("lane") else {}),
            **({"--reduced": spec["reduced"]} if spec.get("reduced") else {}),
        }
        words = [str(part) for pair in options.items() for part in pair]
        words += ["--cache-gate"] * bool(spec.get("cache_gate"))
        return [*PROGRAM, "run", *words, "--", *map(str, spec["command"])]

    def end(self, process: "subprocess.Popen[bytes]", error: BaseException) -> None:
        """The container is being taken away: end the command in time, and get out what it left."""
        with handled(signal.SIGINT, signal.SIG_IGN):
            how = str(error) if isinstance(error, Ended) else type(error).__name__
            self.say("container.interrupted", "warning", how=how)
            if how in SAID:
                event, text = SAID[how]
                self.say(event, "error", source="platform_log", by="modal", text=text, sign=SIGNS.get(how))
            for signum, grace_s in ENDING:
                with suppress(OSError):
                    process.send_signal(signum)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(grace_s)
                    break
            self.pusher.finish(LAST_PUSH_S)

    def here(self) -> dict[str, Any]:
        """What is known of this container, and of what was asked for."""
        told = {name.lower(): os.environ.get(f"MODAL_{name}", "") for name in TOLD}
        asked = {key: self.spec.get(key) for key in ("gpu", "memory_mib", "timeout_s", "push_s")}
        with suppress(Exception):
            import modal

            told["function_call_id"] = modal.current_function_call_id() or ""
            told["input_id"] = modal.current_input_id() or ""
        return {**told, **asked, "is_gvisor": procfs.is_gvisor(), **(self.node.told() if self.node else {})}

    def say(self, event: str, level: str = "info", **data: Any) -> None:
        """One more segment of this writer's own: the volume has it with the next push."""
        from diagnose.journal import segment

        self.num_events += 1
        home = self.node.name if self.node else node()
        frame = {"run": self.spec["run"], "attempt": self.name, "node": home, "level": level}
        with suppress(OSError):
            segment(self.path, self.name, "container", self.num_events, event, {**frame, **data})

    def found(self, is_pushed: bool) -> dict[str, Any]:
        """What the verdict came to in here; of a pre-flight its report."""
        import msgspec

        if "checks" in self.spec:
            return {"preflight": reporting.pack(checking.report(self.own), is_pushed)}
        try:
            told = msgspec.json.decode((self.path / "verdict.json").read_bytes())
            causes = [{key: cause[key] for key in ("failure", "ranks", "grade")} for cause in told["causes"]]
            return {"symptom": told["symptom"], "causes": causes}
        except (OSError, msgspec.DecodeError, KeyError, TypeError):
            return {"symptom": "unknown", "causes": []}

    def by_mount(self) -> str:
        """The second way out, where the first is closed: copy to the mount, and have it committed."""
        mount = Path(str(self.spec.get("mount") or "/nowhere"))
        if not mount.is_dir():
            return "in part"
        try:
            import modal

            target = mount / str(self.spec["run"]) / "attempts"
            shutil.copytree(self.path / "attempts", target, dirs_exist_ok=True)
            modal.Volume.from_name(str(self.spec["volume"])).commit()
        except Exception as error:
            return redact(f"in part ({type(error).__name__}: {error})"[:300])
        return "by the mount"


@contextmanager
def handled(number: int, handler: Any) -> Iterator[None]:
    """A signal's handler, for a while; outside of the main thread, where there can be none, as it was."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


def raised(number: int, frame: FrameType | None) -> None:
    raise Ended(signal.Signals(number).name)

"""Whether a rank writes its own stack at a signal: what is left where nobody may attach to it."""

import os
import signal
import tempfile
import time

import probes
from probes import procfs
from probes.checking import places, sleeper
from probes.checking.check import Check, Measurement, Target, measured, skipped
from probes.checking.interpreter import NoAnswer
from probes.rank_hook.diagnose_rank import names

CHECK = Check(limit_s=20.0, cost=("signals", "writes_disk"))
HOOK = os.path.join(probes.__path__[0], "rank_hook")
LIMIT_S = 5.0


def measure(target: Target) -> list[Measurement]:
    signum = getattr(signal, target.environ.get("DIAGNOSE_SIGNAL") or "SIGUSR2", None)
    where = f"{signum.name if signum else 'DIAGNOSE_SIGNAL'} to a child under the rank hook"
    if not isinstance(signum, signal.Signals):
        return [measured("host", where, refusal="DIAGNOSE_SIGNAL names no signal")]
    with tempfile.TemporaryDirectory(prefix=places.own(tempfile.gettempdir(), "diagnose-stack-")) as spool:
        try:
            with sleeper.asleep(target, environment(target, spool)) as pid:
                begun = time.monotonic()
                refusal = dump(pid, signum, names.faults_path(spool, "1", 0))
                took = round(time.monotonic() - begun, 3)
        except (NoAnswer, OSError) as error:
            return [skipped("host", where, str(error))]
    return [measured("host", where, refusal=refusal, took_s=took)]


def environment(target: Target, spool: str) -> dict[str, str]:
    """That of rank 0 under `diagnose run`."""
    path = os.pathsep.join(part for part in (HOOK, target.environ.get("PYTHONPATH", "")) if part)
    ours = {"DIAGNOSE_SPOOL": spool, "DIAGNOSE_RUN": "preflight", "DIAGNOSE_ATTEMPT": "1"}
    return {**ours, "PYTHONPATH": path, "RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}


def dump(pid: int, signum: signal.Signals, path: str) -> str:
    """Have it written; why there is none, empty where there is."""
    if not os.path.exists(path):
        return "the rank hook was not loaded, or the signal is in use"
    if procfs.catches(pid, signum) is False:
        return "the signal has no handler"
    os.kill(pid, signum)
    end = time.monotonic() + LIMIT_S
    while time.monotonic() < end:
        if sleeper.FUNCTION.encode() in (procfs.read(path) or b""):
            return ""
        time.sleep(0.02)
    return f"no stack within {LIMIT_S:g} s"

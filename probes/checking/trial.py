"""One launch of trial ranks under torchrun, in the job's interpreter and environment; many checks read it.

At the deep level it runs under `diagnose run`, and its ranks hang on purpose at the end.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.util import find_spec
from typing import NamedTuple

from probes import deadline, procfs
from probes.checking import file_systems, launcher, machine, pace
from probes.checking.check import Check, Target
from probes.checking.places import own
from probes.checking.trial_files import Said, cause, left, lines, text
from probes.here import IMAGES
from probes.nvml.visible import CUDA, before_end

MIB = 1 << 20
HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
MAIN = os.path.join(os.path.dirname(HERE), "trial", "main.py")
LIMIT_S = {"default": 45.0, "deep": 240.0}  # for all that the ranks do
SIZES = {"cpu": (4096, MIB), "cuda": (MIB, 16 * MIB, 256 * MIB, 1024 * MIB)}  # bytes
BOX_S = {"default": 2.0, "deep": 20.0}  # for the timed collectives of all sizes
# Of the process group: a rank that never comes is told by the others.
TIMEOUT_S = {"default": 30.0, "deep": 90.0}
STALL_AFTER_S = {"cpu": 3.0, "cuda": 15.0}  # NCCL is silent while it starts
GRACE_S = 10.0
NAME, MARK = "rehearsal", "DIAGNOSE_TRIAL"
DIAGNOSE, DIAGNOSED = "NCCL_RUN_DIAGNOSTICS", "NCCL DIAG"  # from NCCL 2.31 on; what each of its lines has
UNMET = "the ranks never told each other who they are"
OUTER = {  # of a launcher around us: the trial has its own
    *("RANK", "LOCAL_RANK", "GROUP_RANK", "ROLE_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_WORLD_SIZE"),
    *("MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT", "PET_NNODES"),
}
COST = ("ranks", "gpu_memory", "kernels", "writes_disk")


class Wish(NamedTuple):
    """What the ranks are to do."""

    python: str
    num_ranks: int
    device: str  # `cuda`, one rank for each GPU; else `cpu`
    level: str
    folders: tuple[str, ...]
    master: str  # the job's rendezvous host; empty where nobody said
    root: str  # where runs are kept


class Trial(NamedTuple):
    """What came of it: the lines of the ranks, the launcher's code (None: ended by us) and its last words."""

    num_ranks: int
    device: str
    code: int | None
    said: list[Said]
    words: str
    nccl: str = ""  # NCCL_DEBUG=INFO of all ranks
    diagnostics: str = ""  # what NCCL tried by itself: it prints that beside its log
    rehearsal: Said = {}
    cpu_share: float = 1.0  # before and after it, the smaller

    def slow(self) -> str:
        """Why what is missing may only be late; empty where it is not."""
        return pace.slow(self.cpu_share)

    def of(self, part: str) -> Iterator[Said]:
        """The lines of one part of the program, rank by rank."""
        return (line for line in self.said if line["part"] == part)

    def everyone(self) -> dict[int, Said]:
        """Who the ranks said they are, as rank 0 learnt it from the store; empty if it did not."""
        told = next(self.of("everyone"), {}).get("ranks", {})
        return {int(rank): mine for rank, mine in told.items()}


def follower(level: str = "default", needs: tuple[str, ...] = (), lane: str = "ranks") -> Check:
    """A check that reads what the trial said."""
    return Check(level=level, needs=("torch", *needs), cost=COST, lane=lane, after="ranks_start", alone=True)


_held: dict[Wish, Trial] = {}


def held(target: Target) -> Trial:
    """The trial of this process: launched by the first check that asks."""
    wanted = wish(target)
    if wanted not in _held:
        _held[wanted] = launch(wanted, target.environ)
    return _held[wanted]


def wish(target: Target) -> Wish:
    num_gpus = visible(machine.see().num_gpus, target.environ)
    return Wish(
        target.python,
        num_gpus if num_gpus > 1 else 2,
        "cuda" if num_gpus > 1 else "cpu",
        target.level,
        tuple(file_systems.answering(target.folders, target)[0]),
        launcher.of(target)[0],
        target.environ.get("DIAGNOSE_ROOT") or "runs",
    )


def visible(num_gpus: int, environ: Mapping[str, str]) -> int:
    """How many GPUs the job will see.

    >>> [visible(8, {"CUDA_VISIBLE_DEVICES": told}) for told in ("0,1", "", "0,-1,1")], visible(8, {})
    ([2, 0, 1], 8)
    """
    given = environ.get(CUDA)
    if given is None:
        return num_gpus
    return min(num_gpus, len(before_end([one.strip() for one in given.split(",") if one.strip()])))


def launch(wanted: Wish, environ: Mapping[str, str]) -> Trial:
    """Start the ranks, wait for them, end what is left of them."""
    share = pace.cpu_share()
    held = made(wanted, environ, pace.patience(share))
    return held._replace(cpu_share=min(share, pace.cpu_share()))


def made(wanted: Wish, environ: Mapping[str, str], patience: float) -> Trial:
    with tempfile.TemporaryDirectory(prefix=own(tempfile.gettempdir(), "diagnose-trial-")) as out:
        if wanted.level != "deep":
            return heard(wanted, out, start(wanted, environ, out, []))
        refused = {"missing": "diagnose is not installed beside these probes"}
        if find_spec("diagnose"):
            try:
                os.makedirs(wanted.root, exist_ok=True)
                root = tempfile.mkdtemp(prefix=own(wanted.root, ".preflight-"), dir=wanted.root)
            except OSError as error:
                refused = {"refusal": error.strerror or str(error)}
            else:
                return rehearsed(wanted, environ, out, root, patience)
        return heard(wanted, out, start(wanted, environ, out, []))._replace(rehearsal=refused)


def rehearsed(wanted: Wish, environ: Mapping[str, str], out: str, root: str, patience: float) -> Trial:
    """The same under our agent, with a hang at the end; the run directory goes when it has been read."""
    try:
        trial = heard(wanted, out, start(wanted, environ, out, under(root, wanted.device, patience)))
        return trial._replace(rehearsal=left(os.path.join(root, NAME)))
    finally:
        shutil.rmtree(root, ignore_errors=True)


def under(root: str, device: str, patience: float) -> list[str]:
    """Our own agent around a command; it is found beside this file, without a word in PYTHONPATH."""
    program = f"import sys; sys.path.insert(0, {TOP!r}); from diagnose.__main__ import main; main()"
    where = ["--run-dir", os.path.join(root, NAME)]
    options = ["--stall-after", str(STALL_AFTER_S[device] * patience), "--on-stall", "stop"]
    return [sys.executable, "-P", "-c", program, "run", *where, *options, "--"]


def start(wanted: Wish, environ: Mapping[str, str], out: str, before: list[str]) -> int | None:
    """Run the ranks to their end; the code of the launcher, None where it was ended at the limit."""
    level, is_cuda = "deep" if wanted.level == "deep" else "default", wanted.device == "cuda"
    options = {
        "out": out,
        "device": wanted.device,
        "timeout_s": TIMEOUT_S[level],
        "folders": wanted.folders,
        "master": wanted.master,
        "images": IMAGES,
        "sizes": SIZES[wanted.device],
        "box_s": BOX_S[level],
        "gpu": level == "deep",
        "compile": level == "deep",
        "hang": bool(before),
    }
    launcher = [wanted.python, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    argv = [*before, *launcher, str(wanted.num_ranks), MAIN, json.dumps(options)]
    given = surroundings(environ, os.path.join(out, "nccl.%p.log") if is_cuda else "")
    given |= {MARK: out, "TMPDIR": out}  # the launcher's logs, the agent's spool go with it, however it ends
    with open(os.path.join(out, "output.log"), "wb") as log:
        process = subprocess.Popen(
            argv, env=given, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        code = awaited(process, LIMIT_S[level], out)
    return code


def surroundings(environ: Mapping[str, str], nccl_log: str) -> dict[str, str]:
    """The job's environment, without the words of a launcher around us."""
    kept = {name: value for name, value in environ.items() if name not in OUTER}
    kept = {name: value for name, value in kept.items() if not name.startswith("DIAGNOSE_")}
    kept.setdefault("OMP_NUM_THREADS", "1")
    if nccl_log:
        kept.setdefault(DIAGNOSE, "1")
        kept |= {"NCCL_DEBUG": "INFO", "NCCL_DEBUG_SUBSYS": "INIT,GRAPH,NET,P2P", "NCCL_DEBUG_FILE": nccl_log}
    return kept


def awaited(process: "subprocess.Popen[bytes]", limit_s: float, mark: str) -> int | None:
    """Its code; None where it had to be ended. Nothing that it started is left."""
    code: int | None = None
    try:
        code = process.wait(limit_s)
    except subprocess.TimeoutExpired:
        with suppress(OSError):
            process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)
    deadline.kill_group(process.pid)
    for pid in marked(mark):  # ranks have sessions of their own, and outlive a launcher that dies
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    if process.poll() is None:
        process.returncode = -signal.SIGKILL  # in D state nobody can wait for it
    return code


def marked(mark: str) -> list[int]:
    """Every process of this trial."""
    wanted = f"{MARK}={mark}".encode()
    return [
        pid for pid in procfs.pids() if wanted in (procfs.read(f"/proc/{pid}/environ") or b"").split(b"\0")
    ]


def heard(wanted: Wish, out: str, code: int | None) -> Trial:
    """Read what the ranks left."""
    said: list[Said] = []
    for rank in range(wanted.num_ranks):
        said += lines(os.path.join(out, f"rank-{rank}.jsonl"))
    logs = sorted(name for name in os.listdir(out) if name.startswith("nccl."))
    nccl = "\n".join(text(os.path.join(out, name)) for name in logs)
    words = [line for line in text(os.path.join(out, "output.log")).splitlines() if line.strip()]
    backends = {line.get("backend") for line in said if line["part"] == "joined"}
    device = ("cuda" if "nccl" in backends else "cpu") if backends else wanted.device
    diagnostics = "\n".join(line for line in words if DIAGNOSED in line)
    return Trial(wanted.num_ranks, device, code, said, cause(words), nccl, diagnostics)

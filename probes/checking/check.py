"""The nouns of pre-flight: what a check is, what it is made on, and what it has measured."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

LEVELS = ("fast", "default", "deep")
COSTS = {  # what a person near a live job may want to leave out; a check without any only reads
    "signals": "sends signals to processes of its own",
    "pauses": "stops a process for a moment",
    "gpu_memory": "allocates GPU memory",
    "kernels": "runs kernels on GPUs",
    "writes_disk": "writes files, and removes them",
    "network": "connects to other hosts",
    "ranks": "starts ranks of its own",
}
Value = str | int | float | bool | None  # None: not known


class Check(NamedTuple):
    """What a check declares; its name is its file's."""

    level: str = "fast"  # the first level it is made at
    limit_s: float = 5.0  # no answer by then is a finding
    needs: tuple[str, ...] = ()  # hardware and software without which it is skipped: see machine.missing
    cost: tuple[str, ...] = ()
    lane: str = ""  # checks of one lane run one after the other in one process, and may share what they hold
    after: str = ""  # a check of the same lane without whose answer this one is skipped
    told_by: str = ""  # a check that tells of what this one passes over: made with it
    alone: bool = False  # nothing else runs meanwhile: it measures speed, or would disturb who does
    shares: "Callable[[Target], object] | None" = (
        None  # called once before all lanes, which then have its answer
    )
    asks: Mapping[str, str] = {}  # settings of the user's that it reads (`--set`), and what they mean


class Target(NamedTuple):
    """What is to be run, and where: as far as the user said, and the environment tells."""

    environ: Mapping[str, str]
    command: tuple[str, ...] = ()
    python: str = ""  # the interpreter that the job will run in
    gpu: str = ""  # the model that was asked for, such as `H100`
    is_pinned: bool = False  # `H100!`: no other model will do
    num_gpus: int = 0  # asked for, on this host; 0: none
    num_ranks: int = 0  # on this host; 0: not known
    num_nodes: int = 1
    folders: tuple[str, ...] = ()  # where the job reads and writes
    settings: Mapping[str, float] = {}  # what else the user told: see Check.asks
    platforms: Mapping[str, Mapping[str, float]] = {}  # the same by platform, where the user told nothing
    level: str = "default"


class Measurement(NamedTuple):
    """What was read of one subject; or, with `skip`, why nothing could be.

    Units stand in the names of values: `free_bytes`, `answered_in_s`, `used_share` (0 to 1).
    """

    subject: str  # `host`, `gpu 3`, `rank 3`, `gpu 0 - gpu 3`, a path, a variable's name
    where: str  # the file, call or command that said so
    values: Mapping[str, Value]
    skip: str = ""


def measured(subject: str, where: str, **values: Value) -> Measurement:
    """What a source said.

    >>> measured("/dev/shm", "statvfs", size_bytes=1 << 26).values
    {'size_bytes': 67108864}
    """
    return Measurement(subject, where, values)


def skipped(subject: str, where: str, reason: str) -> Measurement:
    """A source that is absent, refuses, or is known not to tell the truth."""
    return Measurement(subject, where, {}, reason)

"""By what a file is known to be a log: of one rank, of all of them, or text at all. Pure."""

import re

from diagnose.naming import steps
from diagnose.text import decode

PROGRAM = re.compile(r"(?i)\.(?:py|pyi|c|cc|cpp|cu|cuh|h|hpp|rs|go|sh|js|ts)$")
JSON = re.compile(rb"[{\[]\s*(?:[{}\[\]\"\n]|$)")  # a program's dict has other quotes
BLANKS = b"\xef\xbb\xbf\xff\xfe\0 \t\r\n"
MARKED = re.compile(rb"(?m)^\[(?:(?:rank|default)\d{1,6}\]|(?:1,)?\d{1,6}\]<std(?:out|err)>):")
# What marks a text as a log of ranks or of their launcher.
SIGNS = (
    "torch.distributed", "torch/distributed", "torch/multiprocessing", "[rank", "[default", "ProcessGroup",
    "Traceback (most recent call last)", "gloo/transport", "torchrun", "[c10d]", "terminate called after",
    "NCCL WARN", "NCCL INFO", "DeepGEMM", "AUTOTUNE ", "torch._dynamo", "torch.compile takes",
    "shm_broadcast.py", "checkpoint shards", "straggler_det", "]<stdout>:", "]<stderr>:", "mpirun ",
    "MPI_ABORT", "LAUNCH INFO ", "composer.cli.launcher",
)  # fmt: skip
NAMES = re.compile(r"(?i)train|launch|torchrun|slurm|console")
# A row of `ps`: the command's words are nothing that it printed.
LISTED = re.compile(
    r"(?m)^ {0,8}\w{1,32}(?: {1,20}[\w.:?<+/-]{1,40}){4,16} {1,20}\S{0,200}(?:python|torchrun)\S{0,20} .*$"
)
# Folders of a run directory that hold other evidence.
OTHERS = {"events", "stacks", "flight", "faults", "errors", "host", "state", "claims"}


def is_text(head: bytes) -> bool:
    """Whether a head may be a log: no pickle, no JSON document, no archive. An empty file may."""
    start = head[:4096].lstrip(BLANKS)
    return not JSON.match(start) and is_plain(head)


def is_plain(head: bytes) -> bool:
    """Whether a head is text at all."""
    start = head[:4096].lstrip(BLANKS)
    if start.startswith((b"\x80", b"PK\x03\x04", b"\x1f\x8b", b"\x7fELF")):
        return False
    strange = sum(byte < 32 and byte not in (0, 8, 9, 10, 12, 13, 27) for byte in start)
    return strange * 20 <= len(start)


def is_of_ranks(name: str, head: bytes) -> bool:
    """Whether a text shows, or its name says, that ranks or their launcher wrote it."""
    text = decode(head)
    if any(sign in text for sign in SIGNS) and any(sign in LISTED.sub("", text) for sign in SIGNS):
        return True
    return name.endswith((".log", ".out", ".err")) and bool(NAMES.search(name))


def is_evidence(where: str, head: bytes) -> bool:
    """Whether a text may be something that a job left: no program's source, none of a run's other files."""
    return (
        bool(head.strip())
        and is_plain(head)
        and not PROGRAM.search(where)
        and not OTHERS & set(steps(where)[:-1])
    )


def is_mixed(head: bytes) -> bool:
    """Whether lines of several ranks are marked in it: it is no one rank's log, whatever its name."""
    return len({*MARKED.findall(head)}) > 1

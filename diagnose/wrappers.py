"""What launchers, platforms and loggers put before a line: off it, with the rank that it tells. Pure."""

import re
from collections.abc import Iterable
from typing import NamedTuple

MAX_WRAPPERS = 16  # around one line


class Prefixed(NamedTuple):
    """A line parted from its wrappers. `rank` is global where `is_sure`, or local where `is_local`."""

    rank: int | None
    is_local: bool
    is_sure: bool  # torch itself wrote it
    stamp: str  # the platform's time stamp
    wrapper: str  # what was taken off, without time stamps: the same for lines of one writer
    text: str


UNIT = (
    r"(?P<unit>[\w.-]{1,100} (?!systemd-oomd)[\w.@/-]{1,60}\[\d{1,10}\]): ?"  # host and program in a journal
)
STAMP = re.compile(
    r"(?:[A-Z][a-z]{2} )?\[?"
    r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?: ?(?:Z|UTC|[+-]\d\d:?\d\d))?)\]?(?: |$)"
    rf"(?:{UNIT})?"
)
WRAPPER = re.compile(
    r"\[default(?P<local>\d{1,6})\]:"  # torchrun --tee
    r"|\[rank(?P<rank>\d{1,6})\]:(?: |(?=\[|[IWEVDF]\d{4} ))"  # torch's own: none before a stamp
    r"|\[(?:[\w.@-]{1,100}@)?(?:1,)?(?P<mpi>\d{1,6})\]<std(?:out|err)>: ?"
    # mpirun --tag-output, horovodrun
    r"|(?P<srun> {0,3}\d{1,5}):(?: (?!\[(?:all(?:reduce|gather)|broadcast|Horovod|[\w/]{1,80}_Allreduce/))|$)"
    # srun -l; not the rows of Horovod's stall check
    r"|\[rank[:=] ?(?P<told>\d{1,6})\] "  # Lightning, Determined
    r"|<[a-z]{0,8}> {1,8}(?=\[\d{4}-)|[0-9a-f]{8} (?:\[rank=(?P<trial>\d{1,6})\] )?\|\| "  # Determined
    r"|\(Worker_TP(?P<tp>\d{1,5})(?:_EP\d{1,5})? pid=\d+\) "
    r"|\((?:[\w./@-]+(?:\[rank=(?P<actor>\d{1,6})\])? (?:[\w./@-]+ )?)?(?:rank=(?P<worker>\d{1,6}) )?"
    r"pid=\d+(?:, ip=[\w.:]+)?\) "  # Ray, vLLM
    r"|std(?:out|err) [FP] "  # a container runtime's
    r"|\[pod/[\w./-]{1,200}\] "  # kubectl logs --prefix
    r"|[a-z][\w.-]{0,60}[-._]\d{1,5} {1,20}\| "  # docker compose
    rf"|[A-Z][a-z]{{2}} [ \d]\d \d\d:\d\d:\d\d(?:\.\d{{1,6}})? {UNIT}"  # syslog, journalctl
    r"|[^\t]{1,80}\t[^\t]{1,80}\t\ufeff?(?=\d{4}-\d\d-\d\dT)"  # GitHub Actions: job and step
    r"|[a-z][\w.-]{0,60}\d[\w.-]{0,60}: (?=\[rank\d|\[default\d|Traceback \(most|  File \")"  # pdsh
    r"|(?P<level>DEBUG|INFO|WARNING|ERROR|CRITICAL) \d\d-\d\d \d\d:\d\d:\d\d "
    r"(?P<at>\[?[\w./]{1,80}:\d{1,6}\]) ?"  # vLLM's logger
)
# sglang and Lightning mark the first line of a traceback, not those that follow: no wrapper, but a rank.
HINT = re.compile(
    r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?P<groups>(?: [A-Z]{2}\d{1,5}){1,6})\] "
    r"|\[rank: (?P<rank>\d{1,6})\] (?=Traceback \(most)"
)


def unwrap(line: str) -> Prefixed:
    """Take launchers' and platforms' wrappers off a line, in any nesting.

    >>> unwrap("[default3]:[rank11]: Traceback (most recent call last):")[:3]
    (11, False, True)
    >>> unwrap("2026-08-24T10:00:00Z [default3]:  x")[1:]
    (True, False, '2026-08-24T10:00:00Z', '[default3]:', '  x')
    >>> unwrap("(RayWorker pid=77, ip=10.0.0.2) [1,4]<stderr>:boom")[0]
    4
    >>> unwrap("Mar 04 11:42:18 gpu-3 torchrun[4711]: [rank1]: boom")[4:]
    ('gpu-3 torchrun[4711][rank1]: ', 'boom')
    """
    rank, is_local, is_sure, stamp, wrapper = None, False, False, "", ""
    for _ in range(MAX_WRAPPERS):
        if found := HINT.match(line):
            rank = hinted(found) if rank is None else rank
        elif found := WRAPPER.match(line):
            wrapper += f"{found['level']} {found['at']}" if found["level"] else found["unit"] or found[0]
            if told := found["rank"]:
                rank, is_local, is_sure = int(told), False, True
            elif (
                told := found["mpi"]
                or found["srun"]
                or found["told"]
                or found["trial"]
                or found["worker"]
                or found["actor"]
                or found["tp"]
            ) and not is_sure:
                rank, is_local = int(told), False
            elif found["local"] and not is_sure:  # what stood before it is of a node
                rank, is_local = (int(found["local"]) if rank is None else None), rank is None
        elif not stamp and (found := STAMP.match(line)):
            stamp, wrapper = found[1], wrapper + (found["unit"] or "")
        else:
            break
        line = line[found.end() :]
    return Prefixed(rank, is_local, is_sure, stamp, wrapper, line)


def hinted(found: re.Match[str]) -> int | None:
    """The rank in a hint: sglang's `TP3` alone is one, not so beside data or pipeline parallelism.

    >>> [hinted(HINT.match(f"[2026-07-01 10:00:00 {at}] x")) for at in ("TP3", "DP1 TP3")]
    [3, None]
    """
    if found["rank"]:
        return int(found["rank"])
    return of_groups(found["groups"].split())


def of_groups(names: Iterable[str]) -> int | None:
    """The rank of a server's worker by its places in its groups.

    >>> of_groups(["TP3", "EP3"]), of_groups(["PP1", "TP0"])
    (3, None)
    """
    told = {name[:2]: int(name[2:]) for name in names}
    return told.get("TP") if not told.get("DP") and not told.get("PP") else None


# `host:pid:tid [device] `, before what NCCL says; 2.27 and later leave out the thread.
NCCL = re.compile(
    r"(?<![\w.-])(?P<host>\w[\w.-]{0,100}):(?P<pid>\d{1,10})(?::\d{1,10})? \[(?P<device>\d{1,4})\] "
)


def process_of(line: str) -> dict[str, object]:
    """The process that NCCL's prefix tells, the last one of a line; empty without such a prefix.

    >>> process_of("n1:70:91 [1] init.cc:795 NCCL WARN Duplicate GPU detected")
    {'host': 'n1', 'pid': 70, 'device': 1}
    """
    told = list(NCCL.finditer(line)) if "NCCL" in line else []
    if not told:
        return {}
    return {"host": told[-1]["host"], "pid": int(told[-1]["pid"]), "device": int(told[-1]["device"])}

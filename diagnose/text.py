"""Pure helpers for sources: bytes to lines, wrappers and time stamps off a line, values made safe to keep.

Nothing here raises on bad input. Lines are cut at `LINE_LIMIT` bytes, so memory stays flat.
"""

import codecs
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import BinaryIO, NamedTuple

from diagnose.model import Member

LINE_LIMIT = 64 << 10  # bytes kept of a line
MAX_RANK = 1 << 20
MAX_WRAPPERS = 16  # around one line
CHUNK = 1 << 20
PIECE = 1 << 20  # bytes of a line without an end that are waited for

ANSI = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)?|[@-Z\\^_])")
BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def encoding(head: bytes) -> str:
    """What a text is written in, by its byte order mark; UTF-8 without one."""
    return next((name for mark, name in BOMS if head.startswith(mark)), "utf-8")


def decode(data: bytes) -> str:
    """Bytes as text, whatever they hold; NULs (holes of a crashed disk, unmarked UTF-16) are dropped.

    >>> decode(b"caf\\xc3\\xa9 \\xff\\x00!")
    'café �!'
    """
    return data.decode(encoding(data), "replace").replace("\0", "")


def chunks(stream: BinaryIO) -> Iterator[bytes]:
    """A text as UTF-8, many whole lines at a time; no NULs, no colours, `\\n` alone ends a line.

    A line longer than a piece comes in pieces, of which the first do not end in `\\n`; it is cut at a
    carriage return where it has one. Raises OSError alone.
    """
    decoder: codecs.IncrementalDecoder | None = None
    read: Callable[[int], bytes] = getattr(stream, "read1", stream.read)  # all that comes before any damage
    kept, data = b"", read(CHUNK)
    if (name := encoding(data)) == "utf-8-sig":
        data = data[len(codecs.BOM_UTF8) :]
    elif name != "utf-8":
        decoder = codecs.getincrementaldecoder(name)("replace")
    while data:
        kept += decoder.decode(data).encode("utf-8", "replace") if decoder else data
        end = kept.rfind(b"\n") + 1
        if not end and len(kept) >= PIECE:
            end = kept.rfind(b"\r", len(kept) - LINE_LIMIT, len(kept) - 1) + 1 or len(kept)
        if end:
            yield plain(kept[:end])
            kept = kept[end:]
        data = read(CHUNK)
    if kept:
        yield plain(kept)


def plain(chunk: bytes) -> bytes:
    """Without what only a terminal or a crashed disk puts between the letters of a line."""
    if b"\0" in chunk:
        chunk = chunk.replace(b"\0", b"")
    if b"\x1b" in chunk:
        chunk = ANSI.sub(b"", chunk)
    return chunk.replace(b"\r\n", b"\n") if b"\r\n" in chunk else chunk


def lines(stream: BinaryIO) -> Iterator[tuple[int, str]]:
    """Each line with its number from 1, without its end. Raises OSError alone."""
    number, head = 1, b""
    for chunk in chunks(stream):
        whole = chunk.split(b"\n")
        whole[0] = head + whole[0] if len(head) < LINE_LIMIT else head
        head = whole.pop()
        for line in whole:
            yield number, line[:LINE_LIMIT].decode("utf-8", "replace")
            number += 1
    if head:
        yield number, head[:LINE_LIMIT].decode("utf-8", "replace").removesuffix("\r")


def lines_of(member: Member) -> Iterator[tuple[int, str]]:
    """`lines` of a file, which is closed at the end. Raises OSError alone."""
    with member.open() as stream:
        yield from lines(stream)


GLUED = re.compile(rb"(?<=\])(?=\[(?:rank|default)\d{1,6}\]:)")


def parts(line: bytes) -> list[bytes]:
    """What a line showed one after another: progress bars overwrite themselves with carriage returns.

    The last part is what a terminal shows at the end; empty ones are left out.

    >>> parts(b" 10%\\r 20%\\rTraceback\\r")
    [b' 10%', b' 20%', b'Traceback']
    """
    found = [part for part in line.split(b"\r") if part.strip()] if b"\r" in line else [line]
    if b"][rank" in line or b"][default" in line:  # a bar that another rank's line is glued to
        found = [piece for part in found for piece in GLUED.split(part)]
    return [part[:LINE_LIMIT] for part in found]


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
    r"|\[(?:[\w.@-]{1,100}@)?1,(?P<mpi>\d{1,6})\]<std(?:out|err)>: ?"  # mpirun --tag-output
    r"|(?P<srun> {0,3}\d{1,5}):(?: (?!\[(?:all(?:reduce|gather)|broadcast|Horovod|[\w/]{1,80}_Allreduce/))|$)"
    # srun -l; not the rows of Horovod's stall check
    r"|\[rank[:=] ?(?P<told>\d{1,6})\] "  # Lightning, Determined
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


GLOG = re.compile(
    r"[IWEF](?P<month>\d{1,2}?)(?P<day>\d\d) (?P<clock>\d\d:\d\d:\d\d)(?P<part>\.\d{1,9})?(?: |$)"
)
ZONE = re.compile(r"(?P<at>.*?) ?(?P<zone>Z|UTC|[+-]\d\d:?\d\d)?")


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


def seconds(stamp: str, year: int | None = None) -> float | None:
    """A time stamp in unix seconds; one without a zone counts as UTC, one without a year needs `year`.

    glog's month is not padded, its day is: `E616` is 16 June.

    >>> seconds("2026-08-24T10:00:00.5+02:00") == seconds("2026-08-24 08:00:00,500")
    True
    >>> seconds("E616 10:00:00.25", 2026) == seconds("2026-06-16 10:00:00.25")
    True
    >>> seconds("2026-99-99 10:00:00"), seconds("E616 10:00:00")
    (None, None)
    """
    try:
        if found := GLOG.match(stamp):
            if year is None:
                return None
            clock = f"{year:04}-{int(found['month']):02}-{found['day']}T{found['clock']}"
            return (
                datetime.fromisoformat(clock).replace(tzinfo=UTC).timestamp() + float(found["part"] or 0) % 1
            )
        split = ZONE.fullmatch(stamp.strip().replace(",", ".").replace("_", "T", 1))
        if not split:
            return None
        body, _, part = split["at"].partition(".")
        when = datetime.fromisoformat(body).replace(tzinfo=zone(split["zone"]))
        return when.timestamp() + (float(f"0.{part}") if part.isdecimal() else 0.0)
    except (ValueError, OverflowError):
        return None


def zone(name: str | None) -> timezone:
    if name is None or name in {"Z", "UTC"}:
        return UTC
    hours, minutes = int(name[1:3]), int(name[-2:])
    return timezone(timedelta(hours=hours, minutes=minutes) * (-1 if name[0] == "-" else 1))


def has_zone(stamp: str) -> bool:
    """Whether a stamp tells its time zone: only then it may be compared with other clocks."""
    return bool((found := ZONE.fullmatch(stamp.strip())) and found["zone"])


def steps(where: str) -> list[str]:
    """Folders, archive and name of a `where`.

    >>> steps("old.zip!attempts/1/logs/rank-00003.log")
    ['old.zip', 'attempts', '1', 'logs', 'rank-00003.log']
    """
    return re.split("[/!]", where)


RANK_NAME = re.compile(r"(?i)(?<![a-z])rank[-_. ]{0,2}(\d{1,7})(?!\d)")
TRAILING = re.compile(r"[-_](\d{1,7})(?:\.\w{1,8})?$")
LOCAL_LOG = re.compile(r"(?:^|[/!])attempt_\d+/(\d{1,7})/(?:stdout\.log|stderr\.log|error\.json)$")


def rank_of(where: str, trailing: bool = False) -> int | None:
    """The rank that a file's name tells; `trailing`: a number at its end will do.

    torchrun's `attempt_0/3/stderr.log` tells the local rank, which is the rank on one node.

    >>> rank_of("attempts/1/logs/rank-00003.log"), rank_of("a/rank7.log"), rank_of("node_3.log")
    (3, 7, None)
    >>> rank_of("_dump_9", trailing=True), rank_of("x/none_ab/attempt_0/1/stderr.log")
    (9, 1)
    """
    name = steps(where)[-1]
    found = RANK_NAME.search(name) or LOCAL_LOG.search(where) or (TRAILING.search(name) if trailing else None)
    return int(found[1]) if found and int(found[1]) < MAX_RANK else None


def time_of(where: str) -> float | None:
    """The time in a folder's name, as in `stacks/1795424041/rank-00003.json`."""
    found = next((p for p in reversed(steps(where)[:-1]) if re.fullmatch(r"\d{9,11}(\.\d{1,9})?", p)), None)
    return float(found) if found else None

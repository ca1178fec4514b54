"""PyTorch Flight Recorder dumps, JSON or pickle: how far one rank has come in each of its groups.

Pickles are hostile until shown otherwise: nothing but plain containers is loaded, and `CONFINED` has the
pipeline read these files in a child with limits on memory and time.

>>> from io import BytesIO
>>> entry = b'{"collective_seq_id":1,"process_group":["0","default_pg"],"profiling_name":"gloo:barrier"}'
>>> text = b'{"version":"2.10","pg_config":{},"entries":[' + entry + b']}'
>>> group, read = parse(Member("flight/1795486961/rank-00003.json", len(text), lambda: BytesIO(text)))
>>> group.kind, group.rank, group.data["desc"], group.data["launched"], group.data["completed"]
('flight.group_read', 3, 'default_pg', 1, 0)
>>> read.kind, read.data["version"], read.data["num_entries"], read.data["library"]
('flight.read', '2.10', 1, 'gloo')
"""

import io
import pickle
import re
from collections.abc import Iterator

from diagnose.dumps import Dump
from diagnose.frontiers import describe
from diagnose.model import Event, Member
from diagnose.naming import rank_of, steps, time_of
from diagnose.signatures import Signatures
from diagnose.values import json_value, reason

EVENTS = {
    "flight.group_read": "one rank in one group; data: group (`pg:<pg_id>` where it has no name), desc, "
    "pg_id, group_index (order of creation), ranks (in group order), launched, completed, started (none: not "
    "recorded), basis (entries; status: by `pg_status` alone, which counts transfers too if any rank has "
    "some; none: nothing tells), mixed (has transfers; gloo counts them only), status_launched, "
    "status_completed, num_entries, num_transfers, transferred (the newest number of a transfer), first_seq, "
    "entries ([seq, signature, created_s, retired, timeout_s, state, site, is_root]: open and newest, oldest "
    "first; is_root: of a gather or a scatter), history (the newest collectives, read by `histories`), "
    "transfers ({op, src, dst, launched, open, first, created_s}: ranks inside the group, first is an entry, "
    "created_s when the newest were launched)",
    "flight.read": "one dump; data: version, num_entries, library, library_version, only_active (completed "
    "entries were left out), history_lost (older entries were overwritten), world_size",
    "source.unreadable": "data: reason",
}
CONFINED = True
LIMIT = 64 << 20  # an honest dump of 2000 entries is 1 MB
KEYS = (b"pg_config", b"pg_status", b"entries", b"comm_lib_version", b"nccl_version", b"collective_seq_id")
FAMILY = re.compile(r"(?:comm_lib|nccl)_trace_rank_[\w.-]*\d+$")
DUMP = re.compile(r"dump[-_]\d+$")


def recognises(where: str, head: bytes) -> bool:
    names = steps(where)
    if FAMILY.search(names[-1]) or (DUMP.search(names[-1]) and head[:1] in (b"", b"\x80")):
        return True
    if "flight" in names[:-1] and names[-1].endswith((".json", ".pickle", ".pkl")):
        return True
    return head.lstrip()[:1] in (b"{", b"\x80", b"(", b"}") and sum(key in head for key in KEYS) > 1


def parse(member: Member) -> Iterator[Event]:
    rank, time = rank_of(member.where, trailing=True), time_of(member.where)
    try:
        told = load(member.read(LIMIT + 1))
        if not isinstance(told, dict):
            raise ValueError("no dump: the top level is no object")
        dump = Dump(told)
        rank = whose(dump, rank)
        kinds = Signatures()
        groups = [
            (group.last, describe(dump, group, index, kinds)) for index, group in enumerate(dump.groups())
        ]
    except (ValueError, RecursionError) as error:
        data: dict[str, object] = {"reason": reason(error)}
        yield Event("source.unreadable", "flight_recorder", member.where, rank=rank, data=data)
        return
    for last, data in groups:
        where = f"{member.where}#entry={last}" if last >= 0 else member.where
        yield Event("flight.group_read", "flight_recorder", where, time=time, rank=rank, data=data)
    yield Event("flight.read", "flight_recorder", member.where, time=time, rank=rank, data=dump.overview())


def whose(dump: Dump, named: int | None) -> int:
    """The rank, by the file's name or by the groups that the process belongs to. Raises ValueError."""
    if named is not None and dump.may_be_of(named):
        return named
    owners = dump.owners()
    if len(owners) == 1:
        return owners.pop()
    if named is None:
        raise ValueError("neither the file's name nor its groups tell the rank")
    return named


class Refusing(pickle.Unpickler):
    """Loads plain containers only: no honest dump names a class or a function."""

    def find_class(self, module: str, name: str) -> object:
        raise pickle.UnpicklingError(f"refused: the pickle asks for {module[:80]}.{name[:80]}")

    def persistent_load(self, pid: object) -> object:
        raise pickle.UnpicklingError("refused: the pickle asks for an object outside it")


def load(data: bytes) -> object:
    """A dump of either form. Raises ValueError. Its memory is bounded only by the process it runs in."""
    if not data:
        raise ValueError("empty file")
    if len(data) > LIMIT:
        raise ValueError(f"larger than {LIMIT} bytes")
    try:
        if data[:256].lstrip()[:1] in (b"{", b"["):
            return json_value(data)
        return Refusing(io.BytesIO(data)).load()
    except (MemoryError, RecursionError, OverflowError):
        raise ValueError("refused: it asks for too much memory, or is nested too deeply") from None
    except Exception as error:  # a broken pickle raises whatever its opcodes run into
        raise ValueError(f"{type(error).__name__}: {str(error)[:200]}") from None

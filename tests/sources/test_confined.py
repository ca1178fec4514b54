"""Dumps that try something are refused in one line that names the rank; the others are read all the same."""

import io
import os
import pickle
import resource
import signal
import threading
import time
from pathlib import Path

import pytest

from diagnose import bundle, pool
from diagnose.model import Event, Member
from diagnose.pipeline import parse
from probes import deadline

HONEST = {
    "version": "2.10",
    "pg_config": {"0": {"name": "0", "desc": "default_pg", "ranks": "[0, 1]"}},
    "comm_lib_version": "2.27.3",
    "entries": [
        {"collective_seq_id": 7, "pg_id": 0, "process_group": ("0", "default_pg"),
         "profiling_name": "nccl:all_reduce", "state": "scheduled"}
    ],
}  # fmt: skip


class Harmful:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (str(self.path),))


def read(folder: Path, num_children: int | None = None) -> dict[int | None, list[Event]]:
    """The events by rank."""
    found: dict[int | None, list[Event]] = {}
    for event in parse(bundle.members(str(folder)), num_children=num_children)[0]:
        found.setdefault(event.rank, []).append(event)
    return found


def refusal(folder: Path, data: bytes) -> str:
    """Why rank 3's dump is refused, between two honest ones that are read."""
    for rank in (1, 8):
        (folder / f"comm_lib_trace_rank_{rank}").write_bytes(pickle.dumps(HONEST, 2))
    (folder / "comm_lib_trace_rank_3").write_bytes(data)
    found = read(folder, 1)
    assert [e.data["launched"] for r in (1, 8) for e in found[r] if e.kind == "flight.group_read"] == [7, 7]
    [event] = found[3]
    assert (event.kind, event.source) == ("source.unreadable", "flight_recorder")
    assert event.where == "comm_lib_trace_rank_3"
    reason = str(event.data["reason"])
    assert "\n" not in reason
    return reason


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_asks_for_code_is_refused_and_nothing_is_run(tmp_path: Path, protocol: int) -> None:
    trap, folder = tmp_path / "run", tmp_path / "dumps"
    folder.mkdir()
    data = pickle.dumps({"pg_config": {}, "entries": [Harmful(trap)]}, protocol)
    assert "refused: the pickle asks for" in refusal(folder, data)
    assert not trap.exists()


NESTED = b"]" * 300_000 + b"a" * 299_999
BOMBS = {
    "nine bytes that ask for 16 GB": b"\x80\x02}r\xff\xff\xff\x7f.",
    "a byte array of 8 GB": b"\x80\x05\x96" + (8 << 30).to_bytes(8, "little"),
    "a text of 8 GB": b"\x80\x04\x8d" + (8 << 30).to_bytes(8, "little") + b".",
    "ten million entries": b"\x80\x02}(U\x07entries](" + b"}" * 10_000_000 + b"eu.",
    "no object": b"\x80\x02" + NESTED + b".",
    "deep JSON": b'{"pg_config":' * 100_000,
    "cut": pickle.dumps(HONEST, 2)[:-40],
    "empty": b"",
    "noise": bytes(range(256)) * 64,
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_and_takes_no_memory(tmp_path: Path, name: str) -> None:

    def peak() -> bytes:
        """KB of the largest reader; none of other tests' children is ours here."""
        assert refusal(tmp_path, BOMBS[name])
        return b"%d" % resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss

    told = deadline.call(peak, 120.0)
    assert told is not None, "refused, and the honest ones were read"
    assert 0 < int(told) < 900 << 10


def test_a_shape_nested_too_deeply_is_refused(tmp_path: Path) -> None:
    row = b"(U\x0dprocess_group(U\x010U\x01dtU\x11collective_seq_idK\x01U\x0binput_sizes" + NESTED + b"u"
    assert refusal(tmp_path, b"\x80\x02}(U\x07entries](}" + row + b"}" + row + b"eu.") == "nested too deeply"


def test_a_pickle_of_1_gb_is_refused_by_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool.Pool, "start", lambda *_: pytest.fail("a reader has it"))
    read_sizes, real = [], Member.read
    monkeypatch.setattr(Member, "read", lambda self, *size: read_sizes.append(size) or real(self, *size))
    (tmp_path / "_dump_3").write_bytes(pickle.dumps(HONEST, 2))
    os.truncate(tmp_path / "_dump_3", 1 << 30)
    [event] = read(tmp_path)[3]
    assert event.data["reason"] == "refused: larger than 64 MB"
    assert sum(size for (size,) in read_sizes) < 1 << 20, "no more than what tells its kind"


def endless() -> bytes:
    """Keys that all have one hash: the dictionary would take an hour."""
    prime = (1 << 61) - 1
    keys = b"".join(pickle.dumps(i * prime, 2)[2:-1] + b"N" for i in range(1, 100_000))
    return b"\x80\x02}U\x09pg_config}(" + keys + b"us."


def test_a_file_that_takes_for_ever_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "DEADLINE_S", 4.0)
    assert refusal(tmp_path, endless()) == "refused: reading it takes too long"


def test_a_reader_that_gets_no_cpu_is_given_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands still for longer than it may work, and is not given up before it may go on."""
    monkeypatch.setattr(pool, "DEADLINE_S", 0.2)
    monkeypatch.setattr(pool, "STARVED", 1 << 20)
    child, real, seen = pool.Child, pool.Child.is_late, []

    def late(self: pool.Child, now: float) -> bool:
        found = real(self, now)
        seen.append(found)
        if len(seen) == 3:
            self.limit_s = 60.0  # its start alone takes longer than it has
            os.kill(self.process.pid, signal.SIGCONT)
        return found

    def give(self: pool.Child, job: pool.Job, data: bytes) -> None:
        os.kill(self.process.pid, signal.SIGSTOP)
        real_give(self, job, data)

    real_give = child.give
    monkeypatch.setattr(child, "is_late", late)
    monkeypatch.setattr(child, "give", give)
    job = pool.Job(0, "flight_recorder", Member("_dump_3", 3, lambda: io.BytesIO(b"abc")))
    [(number, events)] = pool.read([job], 1)
    assert (number, len(seen) >= 3, any(seen)) == (0, True, False)
    assert [e.data["reason"] for e in events] != ["refused: reading it takes too long"]


def test_a_reader_that_is_killed_costs_its_own_file_alone(tmp_path: Path) -> None:
    def kill() -> None:
        """The child of ours that has used half a second, which honest files do not."""
        while True:
            for path in Path("/proc").glob("[0-9]*/stat"):
                try:
                    fields = path.read_text().rpartition(")")[2].split()
                    line = (path.parent / "cmdline").read_bytes()
                except OSError:
                    continue
                is_ours = int(fields[1]) == os.getpid() and b"diagnose.worker" in line
                if is_ours and int(fields[11]) / os.sysconf("SC_CLK_TCK") > 0.5:
                    os.kill(int(path.parent.name), signal.SIGKILL)
                    return
            time.sleep(0.01)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    assert "ended its reader" in refusal(tmp_path, endless())
    killer.join(60)
    assert not killer.is_alive()


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    outside, folder = tmp_path / "_dump_4", tmp_path / "dumps"
    outside.write_bytes(pickle.dumps(HONEST, 2))
    folder.mkdir()
    (folder / "_dump_4").symlink_to(outside)
    [event] = read(folder)[4]
    assert event.kind == "source.unreadable"
    assert "leads out" in str(event.data["reason"])


@pytest.mark.parametrize("name", ["_dump_5", "nccl_trace_rank_5", "comm_lib_trace_rank_5", "flight/5.pkl"])
@pytest.mark.parametrize("bomb", ["empty", "nine bytes that ask for 16 GB"])
def test_a_dump_is_known_by_its_name_where_its_content_tells_nothing(
    tmp_path: Path, name: str, bomb: str
) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(BOMBS[bomb])
    [[event]] = read(tmp_path).values()
    assert (event.kind, event.source) == ("source.unreadable", "flight_recorder")


@pytest.mark.parametrize("num_children", [1, 3])
def test_events_are_in_the_order_of_the_files(tmp_path: Path, num_children: int) -> None:
    for rank in range(40):
        (tmp_path / f"_dump_{rank:02d}").write_bytes(pickle.dumps(HONEST, 2))
    events = parse(bundle.members(str(tmp_path)), num_children=num_children)[0]
    assert [e.rank for e in events if e.kind == "flight.read"] == list(range(40))

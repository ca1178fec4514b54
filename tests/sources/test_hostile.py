"""Whatever a file holds, a parser answers with events that can be written down, and raises nothing."""

import json
import pickle
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from diagnose import pool
from diagnose.model import Event, Member
from diagnose.pipeline import modules
from tests.waits import cpu_s

HERE = Path(__file__).parent
SOURCES = {module.__name__.rpartition(".")[2]: module for module in modules("diagnose.sources")}
SAMPLES = {
    name: sorted(
        path
        for path in (HERE / name / "samples").rglob("*")
        if path.is_file() and not path.name.endswith(".events.json")
    )
    for name in SOURCES
}
WHERE = {
    "rank_log": "attempts/1/logs/rank-00003.log",
    "launcher_log": "attempts/1/logs/launcher.log",
    "stack_dump": "attempts/1/stacks/1795486961/rank-00003.json",
    "flight_recorder": "attempts/1/flight/1795486961/rank-00003.json",
    "elastic_error": "attempts/1/errors/rank-00003.json",
    "probe_log": "attempts/1/events/agent-000001.jsonl",
    "manifest": "manifest.json",
    "nccl_ras": "ras/1795486961.txt",
}
quick = settings(
    max_examples=25, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck), database=None
)
words = st.sampled_from(
    ["v", "time", "event", "source", "rank", "message", "extraInfo", "py_callstack", "timestamp", "entries",
     "pg_config", "pg_status", "process_group", "collective_seq_id", "profiling_name", "input_sizes", "ranks",
     "frames", "thread_name", "pid", "threads", "name", "filename", "line", "transitions", "state", "retired",
     "communicators", "missing_ranks", "status", "collective_counts", "host", "hash"]
)  # fmt: skip
leaves = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), words,
    st.sampled_from([1 << 90, -(1 << 64), 10**400, "9" * 5000, "\ud800", "[" * 3000, "1e999", "NaN"]),
)  # fmt: skip
trees = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=6),
    max_leaves=25,
)


def read(name: str, data: bytes) -> list[Event]:
    """The events, checked for what every reader relies on; sources that ask for it are read by a child."""
    where = WHERE.get(name, "x")
    SOURCES[name].recognises(where, data[: 64 << 10])
    member = Member(where, len(data), lambda: BytesIO(data))
    if getattr(SOURCES[name], "CONFINED", False):
        [(_, events)] = CHILDREN.run(pool.Job(0, name, member))
    else:
        events = list(SOURCES[name].parse(member))
    msgspec.json.encode(events)
    for event in events:
        assert event.where.startswith(where)
        assert event.rank is None or 0 <= event.rank < 1 << 20
        assert "ended its reader" not in str(event.data.get("reason"))
    return events


class Children:
    """One pool for all of this file."""

    def __init__(self) -> None:
        self.pool = pool.Pool(1)

    def run(self, job: pool.Job) -> list[tuple[int, list[Event]]]:
        data = pool.fetch(job)
        events = self.pool.start(job, data) if isinstance(data, bytes) else data
        if events is not None:
            return [(job.number, events)]
        found: list[tuple[int, list[Event]]] = []
        while self.pool.busy:
            found += map(pool.answered, self.pool.wait())
        return found


CHILDREN = Children()


@pytest.fixture(scope="module", autouse=True)
def no_child_is_left() -> Iterator[None]:
    yield
    CHILDREN.pool.close()


def stdlib_json(tree: object) -> bytes:
    return json.dumps(tree).encode()


@pytest.mark.parametrize("name", WHERE)
@quick
@given(data=st.binary(max_size=300))
def test_random_bytes_are_answered(name: str, data: bytes) -> None:
    read(name, data)
    for mark in (b"\x80\x02", b"{", b"[{", b"\xff\xfe", b"Traceback (most recent call last):\n"):
        read(name, mark + data)


@pytest.mark.parametrize("name", WHERE)
@quick
@given(data=st.data())
def test_damaged_samples_are_answered(name: str, data: st.DataObject) -> None:
    sample = data.draw(st.sampled_from(SAMPLES[name])).read_bytes()
    cut = bytearray(sample[: data.draw(st.integers(0, len(sample)))])
    for _ in range(data.draw(st.integers(0, 6)) if cut else 0):
        cut[data.draw(st.integers(0, len(cut) - 1))] = data.draw(st.integers(0, 255))
    read(name, bytes(cut))


@pytest.mark.parametrize(
    "name", ["stack_dump", "flight_recorder", "elastic_error", "probe_log", "manifest", "nccl_ras"]
)
@quick
@given(tree=trees)
def test_json_of_any_shape_is_answered(name: str, tree: object) -> None:
    read(name, stdlib_json(tree))
    read(name, stdlib_json({"entries": [tree, {"process_group": [tree, tree], "collective_seq_id": tree}]}))
    read(name, stdlib_json([{"frames": [tree], "pid": tree, "thread_name": tree}, tree]))
    read(name, stdlib_json({"event": tree, "rank": tree, "x": tree, "message": tree, "transitions": [tree]}))


@pytest.mark.parametrize("name", WHERE)
def test_an_empty_file_and_a_deep_one_are_answered(name: str) -> None:
    for data in (b"", b"\n", b"[" * 200_000, b'{"a":' * 100_000, b"\0" * 4096, b"a" * 300_000):
        read(name, data)


@pytest.mark.parametrize(
    "part",
    [b" ", b"[default1]:", b"[rank1]: ", b"|", b"Rank 1", b"\x1b]", b"\r", b"\"", b"?] ", b"Process-1", b"a.",
     b"Watchdog caught collective operation timeout ", b"failed to pass monitoredBarrier Ranks 1, ", b"12: "],
)  # fmt: skip
def test_lines_made_to_be_slow_are_not(part: bytes) -> None:
    """Each would take minutes if any pattern went back and forth over the whole line."""

    def read_all(num_lines: int) -> None:
        """The same bytes, in one line or in some."""
        lines = (part * (60_000 // len(part) // num_lines) + b"\n") * num_lines
        data = b"Traceback (most recent call last):\n" + lines * 3 + b"ValueError: x\n" + lines * 3
        for name in ("rank_log", "launcher_log", "stack_dump"):
            read(name, data)

    assert cpu_s(lambda: read_all(1)) < 10 * cpu_s(lambda: read_all(100))


@quick
@given(tree=trees)
def test_a_pickle_of_any_shape_is_answered(tree: object) -> None:
    for protocol in (2, 4):
        try:
            data = pickle.dumps({"entries": [tree], "pg_config": tree, "pg_status": tree}, protocol)
        except UnicodeEncodeError:  # a lone surrogate has no pickle
            return
        read("flight_recorder", data)


class Harmful:
    def __reduce__(self) -> tuple[object, ...]:
        return (pytest.fail, ("the pickle was run",))


def test_a_pickle_that_asks_for_code_is_refused_with_its_reason() -> None:
    for protocol in (0, 2, 4):
        data = pickle.dumps({"entries": [Harmful()]}, protocol)
        [event] = read("flight_recorder", data)
        assert event.kind == "source.unreadable"


def test_a_dump_says_the_same_as_json_and_as_pickle() -> None:
    path = HERE / "flight_recorder/samples/flight/1795486961/rank-00000.json"
    dump = msgspec.json.decode(path.read_bytes())
    assert read("flight_recorder", pickle.dumps(dump, 2)) == read("flight_recorder", path.read_bytes())


def test_numbers_given_as_text_count() -> None:
    row = {"collective_seq_id": "7", "process_group": ["0", "d"], "profiling_name": "gloo:barrier"}
    [group, _] = read("flight_recorder", stdlib_json({"entries": [row], "pg_config": {}}))
    assert (group.data["launched"], group.data["completed"]) == (7, 6)


def test_a_torn_last_line_is_nobodys_fault() -> None:
    assert read("probe_log", b'{"event":"a.b","source":"agent"}\n{"event":"c')[0].kind == "a.b"
    assert len(read("probe_log", b'{"event":"a.b","source":"agent"}\n{"event":"c')) == 1

"""What a dump is reduced to: frontiers, blocks, transfers, identities, and what the dump leaves out."""

import pickle
import tarfile
from collections import defaultdict
from io import BytesIO
from pathlib import Path

import pytest

from diagnose import bundle, histories
from diagnose.dumps import Dump
from diagnose.frontiers import describe
from diagnose.model import Event, Member
from diagnose.pipeline import parse
from diagnose.signatures import Signatures, signature
from diagnose.sources import flight_recorder

INCIDENTS = Path(__file__).parents[1] / "incidents"
Row = dict[str, object]


def op(seq: int, state: str = "completed", group: str = "1", pg_id: int = 1, **more: object) -> Row:
    row: Row = {
        "pg_id": pg_id,
        "process_group": (group, "tp"),
        "collective_seq_id": seq,
        "p2p_seq_id": 0,
        "profiling_name": "nccl:all_reduce",
        "input_sizes": [[8]],
        "input_dtypes": ["Float"],
        "state": state,
        "retired": state == "completed",
    }
    return row | more


def transfer(name: str, number: int, seq: int = 4, state: str = "completed", **more: object) -> Row:
    return op(seq, state, is_p2p=True, p2p_seq_id=number, profiling_name=f"nccl:{name}", **more)


def read(entries: list[Row] | None, **top: object) -> dict[str, Row]:
    """Group name -> what `flight.group_read` says."""
    told: Row = {"version": "2.10", "comm_lib_version": "2.27.3", "pg_config": {}, "pg_status": {}} | top
    dump = Dump(told if entries is None else told | {"entries": number(entries)})
    return {g.name: describe(dump, g, i, Signatures()) for i, g in enumerate(dump.groups())}


def number(entries: list[Row], first: int = 0) -> list[Row]:
    return [{"record_id": first + i} | row for i, row in enumerate(entries)]


def reach(data: Row) -> tuple[object, ...]:
    return data["launched"], data["completed"], data["basis"]


def status(enqueued: int, completed: int, started: int = -1) -> Row:
    """As JSON has it: numbers are text."""
    return {
        "last_enqueued_collective": str(enqueued),
        "last_started_collective": str(started),
        "last_completed_collective": str(completed),
    }


def test_a_frontier_is_the_last_launched_and_the_last_up_to_which_all_is_done() -> None:
    found = read([op(1), op(2), op(3, "scheduled"), op(4), op(5, "started")])["1"]
    assert reach(found) == (5, 2, "entries")
    assert found["started"] == 5
    assert [row[0] for row in found["entries"]] == [1, 2, 3, 4, 5]


def test_a_retired_operation_is_done_on_gloo_and_timed_out_on_nccl() -> None:
    rows = [op(1), op(2, "scheduled", retired=True)]
    assert reach(read(rows)["1"]) == (2, 1, "entries")
    gloo = [row | {"profiling_name": "gloo:all_reduce"} for row in rows]
    assert reach(read(gloo, comm_lib_version="")["1"]) == (2, 2, "entries")


def test_the_status_goes_beyond_entries_that_the_ring_has_lost() -> None:
    found = read([op(3)], pg_status={"1": status(9, 7)})["1"]
    assert reach(found) == (9, 7, "entries")


def test_fresh_entries_go_beyond_a_stale_status() -> None:
    assert reach(read([op(3), op(4)], pg_status={"1": status(3, 2)})["1"]) == (4, 4, "entries")


def test_the_status_is_no_frontier_where_transfers_are_counted_too() -> None:
    """13998 counts sends and receives; 194 collectives were launched before them."""
    rows = [transfer("recv 0<-8", 13997, 194, "scheduled"), transfer("recv 0<-8", 13998, 194, "scheduled")]
    found = read(rows, pg_status={"1": status(13998, 13996)})["1"]
    assert (reach(found), found["mixed"]) == ((194, 194, "entries"), True)


def test_a_collective_tells_of_transfers_that_the_dump_has_lost() -> None:
    found = read([op(30, "scheduled", p2p_seq_id=14000)], pg_status={"1": status(14000, 13999)})["1"]
    assert reach(found) == (30, 29, "entries")


def test_transfers_are_counted_by_peer() -> None:
    rows = [transfer("send 0->1", 1), transfer("recv 0<-1", 2), transfer("send 0->1", 3, state="scheduled")]
    sends, receives = read(rows)["1"]["transfers"]
    assert [sends[k] for k in ("op", "src", "dst", "launched", "open")] == ["send", 0, 1, 2, 1]
    assert sends["first"][:2] == [3, "send|[[8]]|Float"]
    assert [receives[k] for k in ("op", "src", "dst", "launched", "open")] == ["recv", 1, 0, 1, 0]


def test_a_block_of_transfers_has_the_state_of_its_last_entry() -> None:
    inside = [transfer("send 0->1", 1, state="scheduled"), transfer("recv 0<-3", 1, state="scheduled")]
    for state, still_open in (("completed", 0), ("scheduled", 1)):
        rows = [*inside, transfer("coalesced", 1, state=state)]
        assert [pair["open"] for pair in read(rows)["1"]["transfers"]] == [still_open] * 2


def test_a_block_whose_end_was_left_out_is_done_if_newer_ones_follow() -> None:
    old = [transfer("send 0->1", 1, state="scheduled"), transfer("recv 0<-1", 1, state="scheduled")]
    new = [transfer("send 0->1", 2, state="scheduled")]
    by_op = {pair["op"]: pair["open"] for pair in read([*old, *new])["1"]["transfers"]}
    assert by_op == {"send": 1, "recv": 0}


def test_a_block_of_collectives_is_one_operation_whose_order_inside_does_not_matter() -> None:
    parts = [op(2, "scheduled"), op(2, "scheduled", profiling_name="nccl:broadcast")]
    end = op(2, "scheduled", profiling_name="nccl:coalesced")
    kinds = [
        read([op(1), *inside, end])["1"]["history"]["kinds"] for inside in (parts, list(reversed(parts)))
    ]
    assert kinds[0] == kinds[1]
    assert reach(read([op(1), *parts, end])["1"]) == (2, 1, "entries")


def test_old_open_operations_stay_and_old_completed_ones_are_counted() -> None:
    rows = [op(1, "scheduled"), *(op(n) for n in range(2, 3000))]
    found = read(rows)["1"]
    assert reach(found) == (2999, 0, "entries")
    assert found["num_entries"] == 2999
    assert found["entries"][0][0] == 1
    assert len(found["entries"]) < 100
    assert len(found["history"]["is_kind"]) < 300


def test_ids_pair_up_with_names_in_numeric_order() -> None:
    config = {n: {"name": n, "desc": "d", "ranks": f"[{n}]"} for n in ("0", "10", "9", "108")}
    counts = {"0": status(5, 5), "2": status(9, 8), "7": status(10, 10), "11": status(108, 108)}
    found = read(None, pg_config=config, pg_status=counts)
    assert {name: data["launched"] for name, data in found.items()} == {"0": 5, "9": 9, "10": 10, "108": 108}
    assert reach(found["9"]) == (9, 8, "status")


def test_where_entries_contradict_that_pairing_it_is_not_used() -> None:
    config = {n: {"name": n, "desc": "d", "ranks": "[0]"} for n in ("3", "4")}
    found = read(
        [op(1, group="4", pg_id=1)], pg_config=config, pg_status={"1": status(1, 1), "2": status(9, 9)}
    )
    assert reach(found["3"]) == (None, None, "none")


def test_one_name_of_two_groups_of_a_process_gives_two_events() -> None:
    told = {"entries": number([op(1, pg_id=1), op(7, pg_id=5)]), "comm_lib_version": "2.27"}
    assert [(g.pg_id, g.name) for g in Dump(told).groups()] == [(1, "1"), (5, "1")]


@pytest.mark.parametrize(
    ("entries", "first", "only_active", "lost"),
    [
        ([op(1), op(2)], 0, False, False),
        ([op(1), op(2)], 100, False, True),
        ([op(1, "scheduled"), op(2, "scheduled")], 100, True, False),
        ([op(1, "scheduled")], 0, False, False),
        ([], 0, True, False),
    ],
)
def test_what_a_dump_leaves_out_is_told(
    entries: list[Row], first: int, only_active: bool, lost: bool
) -> None:
    told = {"entries": number(entries, first), "comm_lib_version": "2", "pg_status": {"1": status(2, 1)}}
    overview = Dump(told).overview()
    assert (overview["only_active"], overview["history_lost"]) == (only_active, lost)


@pytest.mark.parametrize("protocol", range(6))
def test_every_protocol_is_read(protocol: int) -> None:
    data = pickle.dumps({"pg_config": {}, "pg_status": {}, "entries": [op(4)]}, protocol)
    assert flight_recorder.recognises("x", data)
    [group, _] = flight_recorder.parse(Member("_dump_2", len(data), lambda: BytesIO(data)))
    assert (group.rank, group.data["launched"]) == (2, 4)


@pytest.mark.parametrize("version", ["2.4", "2.5", "2.9", "2.10", "2.47", "3.0", ""])
def test_every_version_is_read(version: str) -> None:
    assert read([op(4)], version=version)["1"]["launched"] == 4


def test_entries_of_odd_shapes_are_left_out_and_the_rest_is_used() -> None:
    odd: list[Row] = [{}, {"process_group": 7}, {"process_group": []}, op(1, group="\ud800"), op(None)]  # type: ignore[arg-type]
    assert read([*odd, op(3)])["1"]["launched"] == 3


AGREE: list[tuple[str, Row, Row, bool]] = [
    ("all_reduce of one count", {"input_sizes": [[2, 4]]}, {"input_sizes": [[8]]}, True),
    ("all_reduce of two counts", {"input_sizes": [[2, 4]]}, {"input_sizes": [[9]]}, False),
    ("all_reduce of two types", {}, {"input_dtypes": ["Double"]}, False),
    ("list and flat all_gather",
     {"profiling_name": "nccl:_all_gather_base", "output_sizes": [[16]]},
     {"profiling_name": "nccl:all_gather", "output_sizes": [[8], [8]]}, True),
    ("list and flat reduce_scatter",
     {"profiling_name": "nccl:_reduce_scatter_base", "input_sizes": [[16]], "output_sizes": [[8]]},
     {"profiling_name": "nccl:reduce_scatter", "input_sizes": [[8], [8]], "output_sizes": [[8]]}, True),
    ("uneven all_to_all", {"profiling_name": "nccl:all_to_all"},
     {"profiling_name": "nccl:all_to_all", "input_sizes": [[9]]}, True),
    ("uneven all_gather_v", {"profiling_name": "nccl:all_gather_v"},
     {"profiling_name": "nccl:all_gather_v", "input_sizes": [[9]]}, True),
    ("scatter, root and other",
     {"profiling_name": "nccl:scatter", "input_sizes": [[8], [8]], "output_sizes": [[8]],
      "output_dtypes": ["Float"]},
     {"profiling_name": "nccl:scatter", "input_sizes": [], "input_dtypes": [], "output_sizes": [[8]],
      "output_dtypes": ["Float"]}, True),
    ("an operation nobody knows", {"profiling_name": "nccl:new_op"},
     {"profiling_name": "nccl:new_op", "input_sizes": [[9]]}, True),
    ("two operations", {"profiling_name": "nccl:broadcast"}, {}, False),
]  # fmt: skip


@pytest.mark.parametrize(("left", "right", "agree"), [a[1:] for a in AGREE], ids=[a[0] for a in AGREE])
def test_a_signature_holds_what_must_agree_and_no_more(left: Row, right: Row, agree: bool) -> None:
    assert (signature(op(1) | left) == signature(op(1) | right)) is agree


def test_the_call_site_is_the_users_frame() -> None:
    frames = [
        {"name": "all_reduce", "filename": "/v/lib/python3/site-packages/torch/distributed/d.py", "line": 9},
        {"name": "step", "filename": "/app/train.py", "line": 41},
    ]
    assert read([op(1, "scheduled", frames=frames)])["1"]["entries"][0][6] == "/app/train.py:41 step"


def events(folder: Path) -> list[Event]:
    return parse(bundle.members(str(folder)))[0]


def test_ranks_come_from_any_name_any_folder_and_archives(tmp_path: Path) -> None:
    def data(rank: int) -> bytes:
        config = {"0": {"desc": "default_pg", "ranks": "[0, 1, 2, 3, 4, 5]"}, "1": {"ranks": f"[{rank}]"}}
        return pickle.dumps({"pg_config": config, "pg_status": {}, "entries": [op(rank)]}, 2)

    (tmp_path / "deep/er").mkdir(parents=True)
    (tmp_path / "comm_lib_trace_rank_0").write_bytes(data(0))
    (tmp_path / "nccl_trace_rank_host-7_1").write_bytes(data(1))
    (tmp_path / "deep/er/whatever").write_bytes(data(2))
    (tmp_path / "node9").write_bytes(data(3))
    (tmp_path / "deep/dump_4.json").write_text('{"pg_config":{},"pg_status":{},"entries":[]}')
    (tmp_path / "notes.txt").write_text("nothing")
    with tarfile.open(tmp_path / "more.tar.gz", "w:gz") as tar:
        info = tarfile.TarInfo("x/_dump_5")
        info.size = len(data(5))
        tar.addfile(info, BytesIO(data(5)))
    found = {e.rank: e for e in events(tmp_path) if e.kind == "flight.read"}
    assert sorted(r for r in found if r is not None) == [0, 1, 2, 3, 4, 5]
    assert found[0].data["world_size"] == 6


def test_a_dump_that_does_not_tell_its_rank_says_so(tmp_path: Path) -> None:
    (tmp_path / "whatever").write_bytes(pickle.dumps({"pg_config": {}, "entries": [op(1)]}, 2))
    [event] = events(tmp_path)
    assert event.data["reason"] == "neither the file's name nor its groups tell the rank"


@pytest.mark.parametrize(
    ("name", "behind", "awaited"),
    [("gpu_error_2nd", {9, 14}, {9, 14}), ("lock_gil_1st", set(), {9, 14})],
)
def test_the_frontiers_of_real_incidents_single_out_the_injected_ranks(
    name: str, behind: set[int], awaited: set[int]
) -> None:
    """The two-frontier rule alone, over sure frontiers of groups whose members all left a dump."""
    groups: dict[str, dict[int, Event]] = defaultdict(dict)
    found = events(INCIDENTS / name)
    assert not [e for e in found if e.kind == "source.unreadable"]
    assert len([e for e in found if e.kind == "flight.read"]) == 16
    for event in found:
        if event.kind == "flight.group_read" and event.rank is not None:
            groups[str(event.data["group"])][event.rank] = event
    mixed = {name for name, mine in groups.items() if any(e.data["mixed"] for e in mine.values())}
    late, missed = set(), set()
    for group in groups.keys() - mixed:
        mine = {
            rank: (int(e.data["launched"]), int(e.data["completed"])) for rank, e in groups[group].items()
        }
        assert sorted(mine) == sorted(next(iter(groups[group].values())).data["ranks"])
        for rank, (launched, completed) in mine.items():
            if launched > completed:
                missed |= {r for r, (other, _) in mine.items() if other <= completed}
                if all(other > completed for other, _ in mine.values()):
                    late |= {rank} if any(done > completed for _, done in mine.values()) else set()
    assert (late, missed) == (behind, awaited)


def test_the_history_is_read_back_from_its_columns() -> None:
    rows = [
        op(3, time_created_ns=3_000_000_000),
        op(5, profiling_name="nccl:broadcast", time_created_ns=5_000_000_000),
    ]
    event = Event("flight.group_read", "flight_recorder", "x", data=read(rows)["1"])
    assert list(histories.launches(event)) == [(3, 3.0), (5, 5.0)]
    assert histories.signatures(event) == {3: "all_reduce|[[8]]|Float", 5: "broadcast|[[8]]|Float"}


@pytest.mark.parametrize("path", sorted(INCIDENTS.glob("gpu_error_2nd/_dump_[19]")), ids=lambda p: p.name)
def test_a_real_dump_cut_anywhere_is_answered(path: Path) -> None:
    data = path.read_bytes()
    for size in range(0, len(data), 13):
        part = data[:size]
        kinds = {
            e.kind for e in flight_recorder.parse(Member("_dump_9", size, lambda part=part: BytesIO(part)))
        }
        assert kinds == {"source.unreadable"}, size


def test_what_holds_all_that_is_open_tells_more_than_a_late_watchdog() -> None:
    """Nothing of group 0 is open, though its watchdog has not noticed yet."""
    config = {n: {"name": n, "desc": "d", "ranks": "[0, 1]"} for n in ("0", "1")}
    counts = {"0": status(5, 3), "1": status(9, 8)}
    entries = [op(9, "scheduled", group="1", pg_id=1)]
    found = read([{**entries[0], "record_id": 70}], pg_config=config, pg_status=counts)
    assert reach(found["0"]) == (5, 5, "status") and reach(found["1"]) == (9, 8, "entries")
    assert reach(read([], pg_config=config, pg_status=counts)["0"]) == (5, 5, "status")
    assert reach(read(None, pg_config=config, pg_status=counts)["0"]) == (5, 3, "status")

"""What the reader of dumps makes of groups without a name, of roots, and of groups that also send."""

import json
from io import BytesIO

import pytest

from diagnose.model import Member
from diagnose.sources.flight_recorder import parse


def entry(op, seq, group=("0", "default_pg"), pg_id=0, op_id=None, **more):
    row = {
        "profiling_name": f"gloo:{op}",
        "collective_seq_id": seq,
        "op_id": seq if op_id is None else op_id,
        "process_group": list(group),
        "pg_id": pg_id,
        "retired": True,
        "input_sizes": [[4]],
        "output_sizes": [[4]],
        "input_dtypes": ["Float"],
        "output_dtypes": ["Float"],
    }
    return row | more


def groups(*entries):
    text = json.dumps({"version": "2.10", "pg_config": {}, "entries": entries}).encode()
    events = parse(Member("flight/1795486961/rank-00003.json", len(text), lambda: BytesIO(text)))
    return {e.data["group"]: e.data for e in events if e.kind == "flight.group_read"}


def test_groups_without_a_name_are_told_apart_by_their_number():
    """TORCH_DISTRIBUTED_DEBUG=DETAIL takes the names away."""
    found = groups(*(entry("all_gather", 3, ("", ""), number) for number in (0, 1, 3)))
    assert {name: data["pg_id"] for name, data in found.items()} == {"pg:0": 0, "pg:1": 1, "pg:3": 3}


@pytest.mark.parametrize(
    ("op", "sizes", "root"),
    [
        ("gather", {"output_sizes": [[3, 4]]}, True),
        ("gather", {"output_sizes": []}, False),
        ("scatter", {"input_sizes": [[3, 4]]}, True),
        ("scatter", {"input_sizes": []}, False),
        ("broadcast", {}, None),
        ("reduce", {}, None),
    ],
)
def test_the_root_is_known_where_its_shapes_are_its_own(op, sizes, root):
    (row,) = groups(entry(op, 1, **sizes))["0"]["entries"]
    assert row[7] is root


def test_a_group_that_also_sends_says_so():
    assert not groups(entry("all_reduce", 1), entry("all_reduce", 2))["0"]["mixed"]
    assert groups(entry("all_reduce", 2, op_id=5))["0"]["mixed"], "gloo only counts what is sent"
    nccl = entry("all_reduce", 2, op_id=5, profiling_name="nccl:all_reduce")
    assert not groups(nccl)["0"]["mixed"], "NCCL counts each operation of a coalesced block"
    sent = entry("send 0->1", 0, ("7", "pipe"), 1, is_p2p=True)
    assert groups(entry("all_reduce", 1, ("7", "pipe"), 1), sent)["7"]["mixed"]

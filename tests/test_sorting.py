"""A run by lane and stage: what its files and its record say, and what the playbook calls that."""

import os
from pathlib import Path

import msgspec
import pytest

from diagnose import lanes, manifest, record, schemas, sorting
from diagnose.coldstart import ORDER
from diagnose.contract import Manifest, RunRecord, Transition
from diagnose.render.sorting import sections
from diagnose.verdict import Run, Verdict

BASE = 1000.0
NOTHING = Verdict(bundle="r", symptom="none", run=Run())


def line(event, at, rank=None, **data):
    return {"event": event, "attempt": "1", "time": BASE + at, "rank": rank, "node": "h", **data}


def of_rank(rank, late=0.0):
    """A rank of a healthy regional FSDP2 run: 4 s of compile, 120 steps, a second burst at step 100."""
    phase = {"phase": "compile", "num": 1}
    last = {"when": "exit", "packages": {"triton": "3.2"}, "peak_rss": 5, "compiler": {"graphs": 2}}
    gpu = {"name": "H200", "memory": 141, "uuid": f"u{rank}", "num_visible": 2}
    return [
        line("rank.claimed", 2 + late, rank, pid=rank, world_size=2, python="3.12.1"),
        line("torch.imported", 8 + late, rank, torch="2.9.0", cuda="12.8"),
        line("phase.ended", 9 + late, rank, phase="init_process_group", num=1, seconds=1.0, ok=True),
        line("group.created", 9 + late, rank, desc="default_pg", backend="nccl", ranks=[0, 1]),
        line("model.wrapped", 10, rank, wrapper="fsdp2", model="Net"),
        line("phase.started", 20, rank, step=0, regional=True, **phase),
        line("phase.ended", 24 + late, rank, seconds=4.0 + late, ok=True, **phase),
        line("phase.started", 25 + late, rank, step=0, phase="backward_compile", num=1),
        line("phase.ended", 26 + late, rank, seconds=1.0, ok=True, phase="backward_compile", num=1),
        line("step.first_completed", 30, rank, seconds=28.0 - late),
        line("rank.described", 30, rank, when="first_step", packages={}, nccl="2.27.5", gpu=gpu),
        line("phase.started", 80, rank, step=100, phase="backward_compile", num=2),
        line("phase.ended", 115, rank, seconds=35.0, ok=True, phase="backward_compile", num=2),
        line("rank.described", 130, rank, **last),
        line("steps.timed", 130, rank, num_steps=120, first_s=[0.9, 0.5], median_s=0.5, p90_s=0.6),
        line("rank.died", 131, rank, exit_code=0),
    ]


def events(lane="training", ended=True, num_steps=120, image="im-1"):
    lines = [
        line("command.started", 0, pid=1, versions={"diagnose": "1"}),
        line("command.described", 0, words=["torchrun"], lane=lane, image=image, driver="570", variables={}),
        line("checkout.read", 1, commit="c0ffee", branch="main", dirty=False, num_changed=0),
        *of_rank(0),
        *of_rank(1, late=2.0),
        *([line("command.ended", 132, exit_code=0)] if ended else []),
    ]
    return [e | {"num_steps": num_steps} if e["event"] == "steps.timed" else e for e in lines]


def found(state="ok", **more):
    first = Transition("launching", BASE - 1)
    return Manifest(run="r", state=state, name="n", command="torchrun", transitions=[first], **more)


def built(state="ok", **more):
    return record.build(found(state), events(**more))


@pytest.fixture
def run(tmp_path):
    """A run directory with all that there should be."""
    return lay(tmp_path / "r", found(), built())


def lay(run: Path, of: Manifest, done: RunRecord) -> Path:
    (run / "attempts/1/events").mkdir(parents=True)
    (run / "attempts/1/logs").mkdir()
    for name in ("run", "agent", "rank-00000", "rank-00001"):
        (run / f"attempts/1/events/{name}-000001.jsonl").write_text("{}\n")
    (run / "attempts/1/logs/launcher.log").write_text("x\n")
    (run / "verdict.json").write_text("{}")
    manifest.path(run).write_bytes(msgspec.json.encode(of))
    record.save(run, done)
    return run


def test_the_record_tells_what_the_ranks_said():
    done = built()
    assert (done.lane, done.image, done.git.commit, done.distributed.mode) == (
        "training",
        "im-1",
        "c0ffee",
        "fsdp2",
    )
    assert (done.distributed.backends, done.distributed.world_size, done.distributed.local_size) == (
        ["nccl"],
        2,
        2,
    )
    assert [gpu.uuid for gpu in done.gpus.seen] == ["u0", "u1"] and done.gpus.num_visible == 2
    assert done.versions == {
        "diagnose": "1",
        "driver": "570",
        "python": "3.12.1",
        "torch": "2.9.0",
        "cuda": "12.8",
        "nccl": "2.27.5",
        "triton": "3.2",
    }
    assert (done.compile.posture, done.compile.counters) == ("regional", {"graphs": 2})
    assert [(b.step, b.kinds, b.ranks) for b in done.compile.bursts] == [
        (0, ["backward_compile", "compile"], [0, 1]),
        (100, ["backward_compile"], [0, 1]),
    ]
    assert (done.steps.num, done.steps.contaminated, done.steps.median_s) == (120, [0], 0.5)
    assert [(r.first_forward_s, r.first_forward_by) for r in done.ranks] == [
        (5.0, "compile"),
        (7.0, "compile"),
    ]


def test_the_phases_of_the_cold_start_are_the_slowest_ranks_and_in_order():
    start = {phase.phase: phase for phase in built().start}
    assert [name for name in ORDER if name in start] == [phase.phase for phase in built().start]
    assert {name: (p.seconds, p.rank) for name, p in start.items()} == {
        "schedule": (1.0, None),
        "boot": (4.0, 1),
        "import": (6.0, 0),
        "context": (1.0, 0),
        "setup": (11.0, 0),
        "compile": (7.0, 1),
        "backward_compile": (1.0, 0),
        "first_step": (4.0, 0),
    }
    asked = [line("container.started", -0.25, image_id="im-2", gpu="H200:2", function_call_id="fc-1")]
    done = record.build(found(surface="modal"), [*asked, *events()])
    assert [(p.phase, p.seconds) for p in done.start][:2] == [("schedule", 0.75), ("overlay", 0.25)]
    assert (done.image, done.gpus.requested, done.function_call_id) == ("im-2", "H200:2", "fc-1")


def test_a_record_of_old_or_of_a_newer_kind_is_still_read(run):
    plain = msgspec.json.decode((run / "record.json").read_bytes())
    newer = {**plain, "schema": "diagnose/record/2", "later": {"a": 1}, "steps": {**plain["steps"], "b": 2}}
    (run / "record.json").write_bytes(msgspec.json.encode(newer))
    assert record.read(run).steps.num == 120
    (run / "record.json").write_text('{"run":"r","exit_path":"exit","num_stalls":1}')
    assert record.read(run).distributed.mode == ""
    for name in ("record.json", "manifest.json"):
        (run / name).unlink(missing_ok=True)
        os.mkfifo(run / name)  # nobody waits for a writer
    assert record.read(run) is None and manifest.read(run) is None


def test_variables_are_as_the_ranks_had_them():
    told = {"when": "exit", "variables": {"NCCL_ALGO": "Ring", "OMP_NUM_THREADS": "1", "LANG": "C"}}
    other = {**told, "variables": {**told["variables"], "NCCL_ALGO": "Tree"}}
    given = {"OMP_NUM_THREADS": "8", "LANG": "C", "NCCL_NET": "ib", "WORLD_SIZE": "2"}
    lines = [e | {"variables": given} if "words" in e else e for e in events()]
    done = record.build(found(), lines)
    assert (done.variables, done.rank_variables) == (given, None)
    done = record.build(
        found(), [*lines, line("rank.described", 131, 0, **told), line("rank.described", 131, 1, **other)]
    )
    assert done.rank_variables == {"NCCL_ALGO": "Ring | Tree", "OMP_NUM_THREADS": "1", "NCCL_NET": "not set"}


def test_a_whole_run_breaks_no_stage_and_is_a_receipt(run):
    told = sorting.sort(run, found(), built(), NOTHING)
    assert (told.lane, told.stage, told.is_receipt, told.missing) == ("training", "", True, [])
    assert {layer.state for layer in told.layers} == {"holds"} and told.contaminated == [0]
    assert [burst.step for burst in told.again] == [100]
    words = [row.text for section in sections(told, False) for row in section.rows]
    assert "ranks 0-1: backward compile again after 100 steps, 35.0 s: no stall" in words
    assert "step 0 is contaminated: it starts cold, and no figure counts it" in words


@pytest.mark.parametrize(
    ("more", "missing"),
    [
        ({"num_steps": 2}, ["2 steps of at least 3"]),
        ({"ended": False}, ["no end marker"]),
        ({"lane": "validation"}, ["no notes.metrics"]),
    ],
)
def test_what_is_short_of_its_lane_is_not_a_receipt(run, more, missing):
    told = sorting.sort(run, found(), built(**more), NOTHING)
    assert (told.is_receipt, told.missing, told.stage) == (False, missing, "record")
    assert f"not a receipt: {missing[0]}" in [r.text for s in sections(told, False) for r in s.rows]


@pytest.mark.parametrize(
    ("of", "lines", "stage"),
    [
        (found("detached", surface="modal"), [], "launch"),
        (found("lost", surface="modal"), [], "launch"),
        (found("lost"), events(ended=False), "collector"),
        (found("running", outcome="failed"), events(ended=False), "collector"),
        (found("running"), events(ended=False), ""),
        (found("error"), events()[:3], "image"),
        (found("error"), [e for e in events() if e["event"] in ("command.started", "rank.claimed")], "image"),
        (found("error"), events(), "execution"),
    ],
)
def test_the_stage_is_where_a_run_has_got_to(run, of, lines, stage):
    told = sorting.sort(run, of, record.build(of, lines), NOTHING)
    assert told.stage == stage
    assert bool(told.cut) == (stage in {"launch", "collector"})


def test_a_good_run_without_its_bundle_is_thin_and_not_at_fault(run):
    (run / "attempts/1/logs/launcher.log").write_text("")
    (run / "attempts/1/events/rank-00001-000001.jsonl").unlink()
    told = sorting.sort(run, found(), built(), NOTHING)
    assert told.stage == "persistence" and "observability" in told.cut
    assert {layer.layer: layer.why for layer in told.layers if layer.state == "breaks"} == {
        "events": "rank 1 left none",
        "logs": "nothing printed is there",
    }


def test_the_last_good_run_of_the_same_name_and_lane_is_compared_with(run):
    later = msgspec.structs.replace(
        found("error"), run="s", transitions=[Transition("launching", BASE + 500)]
    )
    done = record.build(later, events(image="im-2"))
    here = lay(run.parent / "s", later, done)
    told = sorting.sort(here, later, done, NOTHING)
    assert (told.good_run, told.changed, told.stage) == ("r", ["image"], "drift")
    assert {part.phase: part.good_s for part in told.start}["import"] == 6.0
    asked = [e | {"words": ["torchrun", "--lr=2"]} if "words" in e else e for e in events()]
    told = sorting.sort(here, later, record.build(later, asked), NOTHING)
    assert (told.changed, told.stage) == (["arguments.--lr"], "execution")  # asked for: no drift
    other = record.build(later, events(lane="benchmark"))
    assert sorting.sort(here, later, other, NOTHING).good_run == ""


def test_the_playbook_names_only_what_is_there():
    paths = set()

    def walk(name, at):
        for key, value in schemas.schema("record")["$defs"][name]["properties"].items():
            paths.add(f"{at}{key}")
            inner = [value, value.get("items", {}), *value.get("anyOf", [])]
            for ref in (one["$ref"].rpartition("/")[2] for one in inner if "$ref" in one):
                walk(ref, f"{at}{key}.")

    walk("RunRecord", "")
    free = ("versions.", "notes.", "variables.")
    for name in lanes.names():
        lane = lanes.lane(name)
        for path in [*lane.required, *lane.wanted, *(p for group in lane.one_of for p in group)]:
            assert path in paths or path.startswith(free), f"{name}: {path}"
    told = lanes.stages()
    assert set(told.phase) == set(ORDER)
    assert set(told.layer) == {"manifest", "events", "logs", "record", "verdict"}

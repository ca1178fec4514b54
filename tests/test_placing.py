"""A lane is told to move only by what its own runs show."""

import pytest
from msgspec.structs import replace

from diagnose import manifest, placing, playbook, reader, record
from diagnose.contract import Burst, CacheSize, Compile, Distributed, RunRecord
from diagnose.placing import Seen
from diagnose.render import markdown
from diagnose.verdict import Run, Verdict

BOOK = placing.load()
COLD = RunRecord(
    run="r",
    exit_path="exit",
    surface="modal",
    lane="training",
    started=0.0,
    ended=3600.0,
    distributed=Distributed(world_size=8),
    compile=Compile(cache_start=CacheSize(0), bursts=[Burst(1200.0, step=None), Burst(60.0, step=100)]),
)
LONG = replace(COLD, ended=100_000.0)


def told(*records, preempted=0):
    return placing.move([Seen(one, n < preempted) for n, one in enumerate(records)], BOOK)


def test_cold_starts_in_a_row_move_the_lane():
    move = told(COLD, COLD, COLD)
    assert (move.to, move.away_from) == ("owned hardware", "Modal")
    assert "the last 3 starts here all compiled on a cold cache, 1200 s or longer" in move.why
    assert "cache seed" in move.first and "as of" in move.gains


@pytest.mark.parametrize(
    "other",
    [
        {"compile": Compile(cache_start=CacheSize(400), bursts=[Burst(20.0)])},
        {"compile": Compile(cache_start=None, bursts=[Burst(1200.0)])},
        {"compile": Compile(cache_start=CacheSize(0), seeded_from="a.tar", bursts=[Burst(1200.0)])},
        {"compile": Compile(cache_start=CacheSize(0), bursts=[Burst(30.0)])},
        {"compile": Compile(cache_start=CacheSize(0), bursts=[Burst(1200.0, step=100)])},
        {"surface": "local"},
        {"distributed": Distributed(world_size=1)},
        {"ended": 100_000.0},
    ],
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_run_that_was_otherwise_or_does_not_tell_keeps_it(other, place):
    rows = [COLD, COLD, COLD]
    rows[place] = replace(COLD, **other)
    assert told(*rows) is None


def test_two_starts_may_be_chance():
    assert told(COLD, COLD) is None and told() is None


def test_preemptions_count_where_the_compile_is_a_small_part():
    assert told(LONG, LONG, LONG) is None and told(LONG, LONG, LONG, preempted=1) is None
    assert "2 of them were taken away by the platform" in told(LONG, LONG, LONG, preempted=2).why
    warm = replace(LONG, compile=Compile(cache_start=CacheSize(400)))
    assert told(warm, warm, warm, preempted=3) is None  # it is warm: where it runs is not why


def test_on_owned_hardware_nothing_moves():
    local = replace(COLD, surface="local")
    assert told(local, local, local) is None


def test_the_playbook_leads_from_place_to_place():
    for name, one in BOOK.surface.items():
        assert not one.move_to or (one.move_to in BOOK.surface and one.move_to != name)
        assert one.as_of and one.good_for and one.bad_for and one.price and one.source
        assert one.keeps_warm == (not one.move_to)
    assert set(BOOK.signs.preempted) <= playbook.load().failures.keys()


def test_every_verdict_on_a_run_says_so_plainly_from_what_lies_under_the_root(tmp_path):
    for number in range(4):
        run = tmp_path / f"job-{number}"
        run.mkdir()
        manifest.begin(run, id=run.name, name="job", surface="modal", lane="training")
        manifest.update(run, transitions=[{"state": "launching", "time": 100.0 + number}])
        if number:
            record.save(run, replace(COLD, run=run.name))
    ended = Verdict(bundle="b", symptom="none", run=Run())
    told = reader.sorted_(run, ended)
    assert told.move.runs == ["job-3", "job-2", "job-1"]
    text = markdown.render(told, playbook.load())
    assert "move this lane to owned hardware: Modal does not keep it warm" in text
    assert reader.examine(run, run.name, playbook.load()).move == told.move
    assert reader.sorted_(tmp_path / "job-2", ended).move is None

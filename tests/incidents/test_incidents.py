"""A few random incidents of every kind; `make bench` scores thousands."""

import pickle

import pytest

from tests.incidents.faults import KINDS, odd_places
from tests.incidents.incident import HEALTHY, generate
from tests.incidents.scoring import judge, outcome
from tests.incidents.truth import circles, edges

NUM = 6


@pytest.mark.parametrize("kind", [*KINDS, "several", *HEALTHY])
def test_the_culprits_of_an_incident_are_named_and_nobody_else(kind):
    wrong = []
    for seed in range(1000, 1000 + NUM):
        incident = generate(seed, kind)
        result, causes = judge(incident)
        if result != "exact":
            wrong.append(f"{result}: {causes} | {incident.told()}")
    assert not wrong


@pytest.mark.parametrize("kind", [*KINDS, "several", *HEALTHY])
def test_an_incident_is_the_same_every_time(kind):
    first, second = generate(7, kind), generate(7, kind)
    assert first.files == second.files and first.expected == second.expected


def test_incidents_differ_by_seed():
    assert len({tuple(sorted(generate(seed, "host_stuck").files.items())) for seed in range(8)}) == 8


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_truth_and_nobody_else_is_accepted(kind):
    incident = generate(3, kind)
    everybody = frozenset(range(incident.num_ranks))
    assert outcome(incident, frozenset()) == "abstained"
    for answers in incident.expected:
        assert all(outcome(incident, answer) == "exact" for answer in answers.answers)
    innocent = everybody - incident.culprits() - incident.maybe
    for rank in innocent:
        assert outcome(incident, incident.culprits() | {rank}) == "wrong blame"


def test_a_dump_has_the_form_that_nccl_ranks_leave():
    some = (generate(seed, "finished") for seed in range(40))
    incident = next(
        i
        for i in some
        if (i.recording.form, i.recording.library, i.recording.status) == ("pickle", "nccl", "fresh")
    )
    dump = pickle.loads(next(iter(incident.files.values())))
    assert {"version", "pg_config", "pg_status", "entries"} <= dump.keys()
    assert all(isinstance(group["ranks"], str) for group in dump["pg_config"].values())


@pytest.mark.parametrize("kind", [*KINDS, "several"])
def test_in_the_true_state_only_culprits_are_waited_for_and_wait_for_nobody(kind):
    """The truth by construction agrees with the machine's own wait-for graph."""
    for seed in range(5):
        incident = generate(seed, kind)
        machine = incident.machine
        waits = edges(machine)
        roots = {other for others in waits.values() for other in others if not waits[other]}
        roots |= {rank for circle in circles(machine) for rank in circle}
        parties = {r for f in incident.faults for place in odd_places(machine, f.rank) for r in place.needed}
        assert roots <= incident.culprits() | {f.rank for f in incident.faults} | parties, incident.told()


def test_a_gloo_dump_tells_no_members_and_no_states():
    some = (generate(seed, "host_stuck") for seed in range(60))
    incident = next(i for i in some if (i.recording.form, i.recording.library) == ("pickle", "gloo"))
    dumps = [pickle.loads(told) for name, told in incident.files.items() if not name.startswith("events/")]
    assert dumps and all(list(dump["pg_config"]) == [""] for dump in dumps)
    assert {row["state"] for dump in dumps for row in dump["entries"]} == {"scheduled"}
    assert any(name.startswith("events/") for name in incident.files)

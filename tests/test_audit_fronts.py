"""What the audit reads off one dump, and what it asks beside a certificate's fronts: on the smallest data."""

import pytest

from diagnose.audit import OK, WRONG, audit
from diagnose.audit_fronts import Dumps, find, frontiers
from diagnose.certificate import Communicator, Front, Link, said
from diagnose.certifying import MAX_CHAINS, Certifier
from diagnose.ledger import Group, Ledger, ledger
from diagnose.looks import decisive
from diagnose.model import Evidence
from diagnose.waitgraph import stuck
from tests.facts.dumps import dump
from tests.incidents.handmade import Job

QUIET = Group(1, "1", "QUIET", [0, 1], [5, -1, 3])


@pytest.mark.parametrize(("has_all_open", "completed"), [(True, 5), (False, 3)])
def test_what_a_dump_with_all_that_is_open_leaves_out_is_done_whatever_the_watchdog_says(
    has_all_open, completed
):
    assert frontiers(QUIET, Ledger(0, [QUIET], has_all_open)) == (5, completed)


@pytest.mark.parametrize(
    ("num_done", "only_active", "has_all_open"), [(0, False, False), (3, False, False), (3, True, True)]
)
def test_a_dump_has_all_that_is_open_where_it_leaves_out_what_is_done(num_done, only_active, has_all_open):
    job = Job(2)
    for _ in range(num_done):
        job.call("world")
    job.call("world", done=False)
    assert ledger(job.dump(0, only_active=only_active), 0).has_all_open == has_all_open


def test_a_ring_that_lost_its_oldest_but_shows_something_done_does_not_leave_out_what_is_done():
    job = Job(2)
    for _ in range(9):
        job.call("world")
    assert not ledger(job.dump(0, ring=4), 0).has_all_open


def test_a_communicator_is_found_by_its_place_among_those_of_equal_ranks_and_description():
    first, second = Group(1, "7", "TP", [0, 1], None), Group(2, "9", "TP", [0, 1], None)
    other = Group(3, "9", "DP", [0, 1], None)
    mine = Ledger(0, [first, other, second], False)
    assert [find(mine, Communicator("", "TP", [0, 1], n)) for n in (1, 2, 3)] == [first, second, None]
    assert find(mine, Communicator("9", "TP", [0, 1], 1)) is second
    assert find(mine, Communicator("9", "TP", [1, 0], 1)) is None, "another order is another group"


def test_without_an_index_a_communicator_is_found_by_its_name_where_no_ranks_are_told():
    named, listed = Group(1, "7", "", [], None), Group(2, "9", "", [0, 1], None)
    mine = Ledger(0, [named, listed], False)
    assert find(mine, Communicator("7", "", [], 0)) is named
    assert find(mine, Communicator("9", "", [0, 1], 0)) is None


def silent(rank, waiting):
    fronts = [Front("silent", [rank]), Front("waits", [waiting], 1, 0, where=[f"r{waiting}"])]
    link = Link("awaited", "", Communicator("0", "default_pg", [0, 1, 2], 1), "all_reduce", 1, fronts=fronts)
    return Link(**{name: getattr(link, name) for name in Link.__struct_fields__} | {"text": said(link)})


def test_a_cause_may_name_only_ranks_that_its_certificate_is_about():
    job = Job(3)
    job.call("world", ranks=[0], done=False)
    dumps = Dumps({"r0": ledger(job.dump(0), 0)})
    assert {claim.outcome for claim in audit([silent(2, 0)], [2], dumps)} == {OK}
    (wrong,) = [claim for claim in audit([silent(2, 0)], [1, 2], dumps) if claim.outcome == WRONG]
    assert "rank 1" in wrong.text and "0, 2" in wrong.why.replace("0 and 2", "0, 2")


def chains(num):
    """So many ranks that never came, each with one that waits for it, and one that waits for that."""
    events = []
    for late, near, far in ((3 * i, 3 * i + 1, 3 * i + 2) for i in range(num)):
        for group, two, who in (("a", (late, near), near), ("b", (near, far), far)):
            events += [
                dump(r, 4 if r == who else 3, 3, f"{group}{late}", f"{group}{late}", ranks=list(two))
                for r in two
            ]
    evidence = Evidence(
        events=events, read=frozenset({"flight_recorder"}), ranks=sorted({e.rank for e in events})
    )
    look = decisive(evidence)
    waits = stuck(look, evidence)
    certifier = Certifier(waits, look)
    return [certifier.awaited(w, w.awaited) for w in waits if w.group.desc.startswith("a")]


def test_only_so_many_chains_are_told_outward_and_the_others_say_that_they_go_on():
    told = chains(MAX_CHAINS + 2)
    whole = [links for links in told if len([link for link in links if link.says == "awaited"]) == 2]
    cut = [links for links in told if links not in whole]
    assert (len(whole), len(cut)) == (MAX_CHAINS, 2)
    assert all(links[0].goes_on and "the chain goes on" in links[0].text for links in cut)
    assert not any(link.goes_on for links in whole for link in links)

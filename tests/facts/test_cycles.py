"""Groups in opposite order: ranks that wait for each other, and those that only wait for them."""

from hypothesis import given
from hypothesis import strategies as st

from diagnose.certifying import MAX_LINKS
from diagnose.circles import circles, components
from diagnose.facts import cycles
from diagnose.facts.cycles import MAX_TOLD
from diagnose.looks import decisive
from diagnose.model import Evidence
from diagnose.waitgraph import stuck
from tests.facts.dumps import dump, seen


def pair(group, ranks, waiting, seq=4):
    """Dumps of one group in which some wait for the rest."""
    return [dump(r, seq if r in waiting else seq - 1, seq - 1, group, group, ranks=ranks) for r in ranks]


def found(*events):
    ranks = sorted({e.rank for e in events})
    evidence = Evidence(events=list(events), read=frozenset({"flight_recorder"}), ranks=ranks)
    return circles(stuck(decisive(evidence), evidence))


def test_two_groups_in_opposite_order_are_one_cycle_and_nobody_is_late():
    events = [*pair("a", [0, 1], [0]), *pair("b", [0, 1], [1])]
    assert seen(*events, num_ranks=2) == {("collective.cycled", (0, 1))}


def test_ranks_that_wait_for_a_cycle_are_no_part_of_it():
    events = [*pair("a", [0, 1], [0]), *pair("b", [0, 1], [1]), *pair("world", [0, 1, 2, 3], [2, 3], 9)]
    assert seen(*events) == {("collective.cycled", (0, 1))}


def test_a_ring_of_three_groups_is_one_cycle():
    events = [*pair("a", [0, 1], [0]), *pair("b", [1, 2], [1]), *pair("c", [2, 0], [2])]
    assert found(*events) == [[0, 1, 2]]


def test_a_circle_of_many_is_told_in_a_few_of_its_waits():
    num = 40
    events = [e for r in range(num) for e in pair(f"g{r}", [r, (r + 1) % num], [r])]
    evidence = Evidence(events=events, read=frozenset({"flight_recorder"}), ranks=list(range(num)))
    (told,) = cycles.derive(evidence)
    assert told.ranks == list(range(num))
    assert told.text.endswith("; and so on, 40 waits in all") and told.text.count(";") == MAX_TOLD
    assert len(told.data["certificate"]) == MAX_LINKS


def test_two_cycles_at_once_are_two():
    events = [
        *pair("a", [0, 1], [0]),
        *pair("b", [0, 1], [1]),
        *pair("c", [2, 3], [2]),
        *pair("d", [2, 3], [3]),
    ]
    assert sorted(found(*events)) == [[0, 1], [2, 3]]


def test_a_chain_of_waits_is_no_cycle():
    assert found(*pair("a", [0, 1], [0]), *pair("b", [1, 2], [1]), *pair("c", [2, 3], [2])) == []


def test_a_cycle_that_also_waits_for_an_outsider_is_the_outsiders():
    events = [*pair("a", [0, 1, 4], [0]), *pair("b", [0, 1], [1])]
    assert seen(*events, num_ranks=None) == {("collective.awaited", (4,))}


def test_absent_sets_of_one_group_are_chained():
    """Rank 0 waits in #2, rank 1 in #5 of the same group: rank 2 lacks both, and there is no cycle."""
    events = [dump(0, 2, 1), dump(1, 5, 4), dump(2, 1, 1)]
    assert found(*events) == []


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=30))
def test_components_are_the_sets_that_reach_each_other(pairs):
    graph = {(-1, a): [(-1, b) for x, b in pairs if x == a] for a in range(10)}

    def reach(node):
        seen, todo = set(), [node]
        while todo:
            for target in graph[todo.pop()]:
                if target not in seen:
                    seen.add(target)
                    todo.append(target)
        return seen

    reached = {node: reach(node) | {node} for node in graph}
    expected = {frozenset(b for b in reached[a] if a in reached[b]) for a in graph}
    assert {frozenset(part) for part in components(graph)} == expected

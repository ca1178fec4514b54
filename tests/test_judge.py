"""The judge: three-valued matching, joins on a rank, and who explains whom."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from diagnose.judge import match, unexplained
from diagnose.model import Coverage, Evidence, Fact, Finding, Status, fold
from diagnose.playbook import Clause, Failure, Limits, Playbook, Test

NEEDS = {"a": ("one",), "b": ("two",), "c": ("two",)}


def failure(scope="rank", when=("a", "b"), unless=(), confirm=(), explains=(), role="root"):
    return Failure(
        title="t",
        summary="s",
        scope=scope,
        role=role,
        status="draft",
        when=[Clause(fact=f) for f in when],
        unless=[Clause(fact=f) for f in unless],
        confirm=[Clause(fact=f) for f in confirm],
        explains=list(explains),
        remedies=[],
        lookalikes=[],
    )


def evidence(read=("one", "two"), ranks=range(4), coverage=None):
    return Evidence(events=[], read=frozenset(read), ranks=list(ranks), num_ranks=4, coverage=coverage or {})


def fact(kind, *ranks, since=None, **data):
    return Fact(kind=kind, text=kind, ranks=list(ranks), since=since, data=data)


def test_clauses_must_meet_on_one_rank():
    assert match("x", failure(), [fact("a", 3), fact("b", 5)], evidence(), NEEDS).status is Status.ABSENT
    found = match("x", failure(), [fact("a", 1, 3), fact("b", 3, 5)], evidence(), NEEDS)
    assert (found.status, found.ranks) == (Status.PRESENT, [3])


def test_a_source_that_is_not_there_makes_unknown_and_is_named():
    found = match("x", failure(), [fact("a", 3)], evidence(read=["one"]), NEEDS)
    assert (found.status, found.missing, found.ranks) == (Status.UNKNOWN, ["two"], [3])


def test_a_source_that_lacks_just_this_rank_makes_unknown():
    lacks = {"two": Coverage(present=[0, 1, 2], missing=[3])}
    assert match("x", failure(), [fact("a", 3)], evidence(coverage=lacks), NEEDS).status is Status.UNKNOWN
    assert match("x", failure(), [fact("a", 2)], evidence(coverage=lacks), NEEDS).status is Status.ABSENT


def test_where_nothing_could_be_seen_a_failure_is_unknown_and_not_absent():
    for scope in ("rank", "node", "job"):
        found = match("x", failure(scope), [], evidence(read=["one"]), NEEDS)
        assert found.status is Status.ABSENT, "the one source was there, and showed nothing"
        found = match("x", failure(scope), [], evidence(read=[]), NEEDS)
        assert (found.status, found.missing, found.facts) == (Status.UNKNOWN, ["one", "two"], [])


def test_clauses_about_ranks_meet_on_the_node_of_these_ranks():
    apart = msgspec.structs.replace(evidence(), nodes={0: "h0", 1: "h0", 2: "h1", 3: "h1"})
    mode = failure("node")
    assert match("x", mode, [fact("a", 0), fact("b", 3)], apart, NEEDS).status is Status.ABSENT
    found = match("x", mode, [fact("a", 2), fact("b", 3)], apart, NEEDS)
    assert (found.status, found.nodes, found.ranks) == (Status.PRESENT, ["h1"], [2, 3])
    assert match("x", mode, [fact("a", 0), fact("b", 3)], evidence(), NEEDS).ranks == [0, 3], "no node known"


def test_an_unseen_rule_out_leaves_unknown_and_a_seen_one_rules_out():
    mode = failure(when=("a",), unless=("c",))
    assert match("x", mode, [fact("a", 1)], evidence(), NEEDS).status is Status.PRESENT
    assert match("x", mode, [fact("a", 1)], evidence(read=["one"]), NEEDS).status is Status.UNKNOWN
    assert match("x", mode, [fact("a", 1), fact("c", 1)], evidence(), NEEDS).status is Status.ABSENT


def test_confirm_decides_the_grade_only_and_a_silent_rank_caps_it():
    mode = failure(when=("a",), confirm=("b",))
    assert match("x", mode, [fact("a", 1)], evidence(), NEEDS).grade == "likely"
    assert match("x", mode, [fact("a", 1), fact("b", 1)], evidence(), NEEDS).grade == "proven"
    assert match("x", mode, [fact("a", 1), fact("b", 1)], evidence(ranks=[0, 1, 2]), NEEDS).grade == "likely"


def test_comparisons_are_strict_about_types():
    assert Test(at_least=1).holds(1) and not Test(at_least=1).holds(True) and not Test(at_least=1).holds("2")
    assert Test(is_=False).holds(False) and not Test(is_=False).holds(None)
    assert Test(matches="^a").holds("ab") and not Test(matches="^a").holds(3)


def book(**failures):
    limits = Limits(stall_after_s=1, stall_after_first_step_s=1, clock_skew_s=2.0, flush_s=15.0)
    return Playbook(failures=failures, remedies={}, trees={}, sources={}, environments={}, limits=limits)


def finding(name, *ranks, since=None):
    return Finding(failure=name, status=Status.PRESENT, ranks=list(ranks), since=since)


def test_a_cause_accounts_for_its_own_ranks_only():
    playbook = book(cause=failure(explains=["effect"]), effect=failure())
    left = unexplained([finding("cause", 1), finding("effect", 1, 2)], playbook, evidence())
    assert [(f.failure, f.ranks) for f in left] == [("cause", [1]), ("effect", [2])]


def test_an_effect_that_began_before_its_cause_is_not_explained():
    playbook = book(cause=failure(explains=["effect"]), effect=failure(role="aftermath", scope="job"))
    early = unexplained(
        [finding("cause", 1, since=100), finding("effect", 0, since=50)], playbook, evidence()
    )
    skewed = unexplained(
        [finding("cause", 1, since=100), finding("effect", 0, since=99)], playbook, evidence()
    )
    assert {f.failure for f in early} == {"cause", "effect"}
    assert [f.failure for f in skewed] == ["cause"]


def test_others_may_wait_for_a_rank_long_before_it_fails():
    playbook = book(cause=failure(explains=["effect"]), effect=failure())
    left = unexplained(
        [finding("cause", 1, since=100), finding("effect", 1, 2, since=50)], playbook, evidence()
    )
    assert [(f.failure, f.ranks) for f in left] == [("effect", [2]), ("cause", [1])]


def test_explaining_goes_through_others_that_are_absent():
    playbook = book(
        a=failure(explains=["b"]), b=failure(explains=["c"]), c=failure(role="aftermath", scope="job")
    )
    assert [f.failure for f in unexplained([finding("a", 1), finding("c", 0)], playbook, evidence())] == ["a"]


facts = st.lists(
    st.builds(
        fact, st.sampled_from("abc"), st.integers(0, 3), st.integers(0, 3), since=st.none() | st.floats(0, 9)
    )
)


@given(facts, st.sets(st.sampled_from(["one", "two"])))
def test_less_evidence_never_makes_a_failure_present(seen, read):
    mode = failure(when=("a", "b"), unless=("c",))
    sources = {"a": "one", "b": "two", "c": "two"}
    full = match("x", mode, seen, evidence(), NEEDS)
    part = match("x", mode, [f for f in seen if sources[f.kind] in read], evidence(read=read), NEEDS)
    assert part.status is not Status.PRESENT or set(part.ranks) <= set(full.ranks)


@given(st.sets(st.integers(0, 40)))
def test_folded_ranks_unfold_to_themselves(ranks):
    text = fold(list(ranks))
    parts = [p.split("-") for p in text.split(",") if p]
    assert {r for p in parts for r in range(int(p[0]), int(p[-1]) + 1)} == ranks


def test_a_failure_of_a_rank_that_nobody_names_is_a_finding_without_ranks():
    found = match("x", failure(when=("a",)), [fact("a")], evidence(), NEEDS)
    assert (found.status, found.ranks) == (Status.PRESENT, [])


def test_an_effect_on_a_rank_that_nobody_names_may_be_of_any_rank():
    playbook = book(x=failure(explains=("y",)), y=failure())
    for cause, effect in (([], [2]), ([1], []), ([], [])):
        left = unexplained([finding("x", *cause), finding("y", *effect)], playbook, evidence())
        assert [f.failure for f in left] == ["x"]


def test_a_cause_of_a_node_that_nobody_names_may_be_that_of_any_rank():
    playbook = book(x=failure(scope="node", explains=("y",)), y=failure())
    left = unexplained([finding("x"), finding("y", 2)], playbook, evidence())
    assert [f.failure for f in left] == ["x"]

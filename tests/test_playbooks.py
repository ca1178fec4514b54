"""The playbook holds together: every name leads somewhere, every file is used."""

import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import msgspec
import pytest

from diagnose.pipeline import modules, needs
from diagnose.playbook import Failure, PlaybookError, load, read

BOOK = load()
ROLES = {"root": {"rank", "node", "job"}, "aftermath": {"rank", "job"}, "context": {"job"}}


IDS = tomllib.loads((Path(__file__).parent / "schemas" / "failures.toml").read_text())
TABLE = {name: kind for kind, names in IDS.items() for name in names}


def ends(tree):
    return {end for node in tree.node.values() for end in (node.yes, node.no)}


@pytest.mark.parametrize("name", BOOK.failures)
def test_a_failure_refers_only_to_what_exists(name):
    failure = BOOK.failures[name]
    assert set(failure.explains) <= BOOK.failures.keys()
    assert set(failure.remedies) <= BOOK.remedies.keys()
    assert failure.when, "a failure that nothing can show"
    for clause in [*failure.when, *failure.unless, *failure.confirm]:
        assert clause.fact in needs(), clause.fact
    assert failure.scope in ROLES[failure.role]


@pytest.mark.parametrize("name", BOOK.failures)
def test_an_id_is_of_the_vocabulary_or_finer_than_one_that_is(name):
    failure = BOOK.failures[name]
    if name in TABLE:
        assert TABLE[name] == f"{failure.scope}_{failure.role}"
    else:
        assert any(effect in TABLE for effect in failure.explains)


@pytest.mark.parametrize("name", BOOK.failures)
def test_a_rule_out_rests_on_sources_that_the_conditions_need_already(name):
    failure = BOOK.failures[name]
    asked = {source for clause in failure.when for source in needs()[clause.fact]}
    for clause in failure.unless:
        assert set(needs()[clause.fact]) <= asked


def test_no_failure_explains_itself_through_others():
    TopologicalSorter({name: f.explains for name, f in BOOK.failures.items()}).prepare()


def test_an_aftermath_or_a_context_never_explains_a_root():
    for name, failure in BOOK.failures.items():
        if failure.role != "root":
            assert all(BOOK.failures[effect].role != "root" for effect in failure.explains), name


@pytest.mark.parametrize("name", BOOK.trees)
def test_a_tree_ends_in_failures_and_every_question_is_reachable(name):
    tree = BOOK.trees[name]
    seen, todo = set(), [tree.start]
    while todo:
        at = todo.pop()
        if at.startswith("failure:"):
            assert at.removeprefix("failure:") in BOOK.failures
        elif at != "end" and at not in seen:
            seen.add(at)
            todo += [tree.node[at].yes, tree.node[at].no]
    assert seen == tree.node.keys()
    TopologicalSorter({key: {n.yes, n.no} for key, n in tree.node.items()}).prepare()
    for node in tree.node.values():
        assert node.fact is None or node.fact.fact in needs()


@pytest.mark.parametrize("name", BOOK.trees)
def test_a_question_whose_yes_is_a_failure_asks_what_that_one_asks(name):
    for node in BOOK.trees[name].node.values():
        if node.fact and node.yes.startswith("failure:"):
            assert node.fact in BOOK.failures[node.yes.removeprefix("failure:")].when, node.ask


def test_every_failure_is_reached_by_some_tree_and_every_remedy_is_used():
    reached = {end for tree in BOOK.trees.values() for end in ends(tree)}
    assert {f"failure:{name}" for name in BOOK.failures} <= reached
    assert {remedy for f in BOOK.failures.values() for remedy in f.remedies} == BOOK.remedies.keys()


def test_every_source_that_a_fact_needs_is_described():
    assert {source for sources in needs().values() for source in sources} <= BOOK.sources.keys()


def test_every_fact_says_what_it_means_and_no_two_modules_claim_one():
    kinds = [kind for module in modules("diagnose.facts") for kind in module.KINDS]
    assert len(kinds) == len(set(kinds))
    assert all(spec.says and spec.needs for m in modules("diagnose.facts") for spec in m.KINDS.values())


def test_a_misspelt_key_is_refused_with_file_and_place(tmp_path):
    file = tmp_path / "failures" / "x.toml"
    file.parent.mkdir()
    body = 'title="x"\nsummary=""\nscope="rank"\nrole="root"\nstatus="draft"\nremedies=[]\nlookalikes=[]\n'
    file.write_text(body + '[[when]]\nfact="a"\nwhere.count.at_leest=1\n')
    with pytest.raises(PlaybookError, match=r"failures/x\.toml: .*at_leest.*when") as error:
        read(file, Failure)
    assert isinstance(error.value.__cause__, msgspec.ValidationError)

"""The playbook of comparisons leaves no field out; what is found is told in the same words in every form."""

import typing

import msgspec
from msgspec.structs import replace

from diagnose import comparing, lanes
from diagnose.contract import RECORD, CacheSize, Git, RunRecord
from diagnose.playbook import load
from diagnose.render import comparison, markdown, terminal
from tests.records import GOOD, with_in

BOOK, PLAYBOOK = comparing.load(), load()


def leaves(kind, path=""):
    """Every path of a record's type that ends in a value; of a mapping the path of the mapping."""
    for field in msgspec.structs.fields(kind):
        inner = field.type
        for part in typing.get_args(inner) if typing.get_origin(inner) in (list, typing.Union) else ():
            inner = part if isinstance(part, type) and issubclass(part, msgspec.Struct) else inner
        inner = next((a for a in typing.get_args(inner) if hasattr(a, "__struct_fields__")), inner)
        if hasattr(inner, "__struct_fields__"):
            yield from leaves(inner, f"{path}{field.name}.")
        else:
            yield path + field.name


def test_every_field_of_the_record_is_compared_or_left_out_on_purpose():
    named = {field.path for field in BOOK.field} | {metric.path for metric in BOOK.metric}
    left = {path for one in BOOK.ignored for path in one.paths}
    assert not named & left
    found = set(leaves(RunRecord))
    assert "gpus.seen.name" in found and "compile.cache_start.files" in found
    missing = {p for p in found if not any(p == n or p.startswith(f"{n}.") for n in named | left)}
    assert not missing, f"in no list of playbooks/compare.toml: {sorted(missing)}"
    gone = {n for n in named | left if not any(p == n or p.startswith(f"{n}.") for p in found)}
    assert not gone, f"no such field any more: {sorted(gone)}"


def test_the_playbook_names_failures_that_exist_and_says_why():
    for field in BOOK.field:
        assert set(field.can_cause) <= PLAYBOOK.failures.keys(), field.path
        assert field.why and field.title and field.how in HOW
    assert all(one.why for one in BOOK.ignored)


HOW = {"text", "version", "number", "bytes", "counts", "counts_of_bytes", "set", "flags"}


def test_the_forms_say_the_same_words():
    other = with_in(versions__torch="2.9.0", git=Git(), compile__cache_start=CacheSize(0, 0))
    told = comparing.compare(GOOD, other, BOOK, lanes.lane("training"))
    laid = comparison.page(told, PLAYBOOK, True)
    paper, marks = terminal.lay(laid, 100), markdown.lay(laid)
    for text in (paper, marks):
        assert "2.8.0+cu128" in text and "compile\\_skew" in text.replace("compile_skew", "compile\\_skew")
        assert "B does not tell it" in text
    assert "90.0 MiB" in paper and "3 DIFFERENCES" in paper
    plain = msgspec.json.decode(comparison.encode(told))
    assert plain["schema"] == "diagnose/compare/1" and plain["differences"][0]["apart"] == "minor"


def test_hostile_records_are_only_odd():
    odd = replace(
        GOOD,
        schema=RECORD,
        run="x\x1b[31m",
        arguments=["-" * 5000, "=" * 5000, "--", "-m"],
        versions={"torch": "9" * 5000, "nccl": "v.."},
        notes={"a.b": "\x1b]0;x\x07", "": None},
        variables={"NCCL_A\nB": "1"},
    )
    told = comparing.compare(GOOD, odd, BOOK)
    text = terminal.lay(comparison.page(told, PLAYBOOK, True), 80)
    assert "\x1b[31m" not in text and "\x07" not in text and comparison.encode(told)

"""Every sample is known for what it is, by one source alone, and gives the events that stand beside it."""

import os
from pathlib import Path

import msgspec
import pytest

from diagnose.model import Event, Member
from diagnose.pipeline import modules
from diagnose.undressing import HEAD

HERE = Path(__file__).parent
SOURCES = {module.__name__.rpartition(".")[2]: module for module in modules("diagnose.sources")}
GOLDEN = ".events.json"
SAMPLES = sorted(
    path for path in HERE.glob("*/samples/**/*") if path.is_file() and not path.name.endswith(GOLDEN)
)


def member(path: Path) -> Member:
    where = path.relative_to(HERE).as_posix().partition("/samples/")[2]
    return Member(where=where, size=path.stat().st_size, open=lambda: path.open("rb"))


def plain(events: list[Event]) -> object:
    """As JSON; `within` only where it says something."""
    found = msgspec.json.decode(msgspec.json.encode(events))
    return [{key: value for key, value in one.items() if key != "within" or value} for one in found]


@pytest.mark.parametrize("path", SAMPLES, ids=lambda p: p.relative_to(HERE).as_posix())
def test_a_sample_is_recognised_by_its_source_alone(path: Path) -> None:
    one = member(path)
    head = one.read(HEAD)
    known = [name for name, module in SOURCES.items() if module.recognises(one.where, head)]
    assert known == [path.relative_to(HERE).parts[0]]


@pytest.mark.parametrize("path", SAMPLES, ids=lambda p: p.relative_to(HERE).as_posix())
def test_a_sample_gives_the_events_beside_it(path: Path) -> None:
    """Written anew with REWRITE_GOLDENS=1, never by hand."""
    module = SOURCES[path.relative_to(HERE).parts[0]]
    events = plain(list(module.parse(member(path))))
    golden = path.with_name(path.name + GOLDEN)
    if os.environ.get("REWRITE_GOLDENS"):
        golden.write_bytes(msgspec.json.format(msgspec.json.encode(events), indent=1) + b"\n")
    assert events == msgspec.json.decode(golden.read_bytes())


def test_every_source_has_a_sample() -> None:
    with_samples = {path.relative_to(HERE).parts[0] for path in SAMPLES}
    mine = {name for name in SOURCES if hasattr(SOURCES[name], "recognises")}
    assert mine <= with_samples


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_gives_only_kinds_that_it_documents(name: str) -> None:
    if name == "probe_log":  # its kinds are those of the lines
        return
    for path in SAMPLES:
        if path.relative_to(HERE).parts[0] == name:
            kinds = {event.kind for event in SOURCES[name].parse(member(path))}
            assert kinds <= set(SOURCES[name].EVENTS)

"""The three forms of one verdict, held against stored texts. REWRITE_GOLDENS=1 stores them anew."""

import os
from pathlib import Path

import click
import msgspec
import pytest

from diagnose import verdict
from diagnose.certificate import Link
from diagnose.model import Coverage
from diagnose.playbook import Failure, Limits, Playbook, Source
from diagnose.render import json, markdown, terminal
from diagnose.render.page import page
from diagnose.render.rows import Row
from diagnose.verdict import Advice, Cause, Citation, Collect, Run, Stack, Step, Unknown, Verdict, Wait

HERE = Path(__file__).parent
FAILURES = {
    "compile_skew": "Compiles alone while the others wait",
    "peer_connection_lost": "Reports a lost connection",
    "rank_killed": "Ended by SIGKILL, sender unknown",
    "collective_skipped": "Left out a collective that the others made",
}
BOOK = Playbook(
    failures={
        name: Failure(title, "", "rank", "root", "draft", when=[], remedies=[], lookalikes=[])
        for name, title in FAILURES.items()
    },
    remedies={},
    trees={},
    sources={"stack_dump": Source("Python stacks of a rank", "where it is", "py-spy dump")},
    environments={},
    limits=Limits(120, 600, 2, 60),
)
WARM = """Copy the compile cache of a good run of the same image and the same number of GPUs:

    diagnose cache seed --from LAST_GOOD"""
REMEDIES = [
    Advice(
        "warm", "Start with a warm compile cache", WARM, "The first step is alike on all.", "restarts_job"
    ),
    Advice("wait", "Wait", "Look again in four minutes.", "It moves.", "none"),
    Advice(
        "raise",
        "Make the timeout of the collective longer than the longest compile",
        "Do.",
        "So.",
        "needs_hands",
    ),
]
RUN = Run(num_ranks=8, nodes=["h1"], attempts=["1"], phase="compile", silent_s=134.0, name="fsdp2-0931")
CAUSE = Cause(
    failure="compile_skew",
    title=FAILURES["compile_skew"],
    scope="rank",
    role="root",
    ranks=[3],
    nodes=["h1"],
    grade="proven",
    since=1795424041.0,
    summary="The late rank compiles its graph while the others wait.",
    evidence=[
        Citation(
            "compile.alone",
            "attempts/1/events/agent-000007.jsonl:88",
            "compiler child ptxas alive, 41 s of CPU",
        ),
        Citation(
            "collective.awaited",
            "attempts/1/flight/1795424041/rank-00003.json",
            "ranks 0-2,4-7 wait for it in all_gather #12 (default_pg), which every one of them has launched",
        ),
        Citation("log.read", "attempts/1/logs/rank-00003.log:211", "compiling \x1b[2Jgraph\n  3/1"),
        *(
            Citation("cache.read", f"attempts/1/events/agent-000007.jsonl:{n}", f"cache {n} entries")
            for n in (11, 12)
        ),
    ],
    certificate=[Link("told", "rank 3 waits for nobody")],
    explains=["slow_not_stuck"],
    lookalikes=[
        "A hang: its compile time no longer grows between two looks.",
        "A straggler: late in every step, not only in the first.",
        "A third.",
    ],
    remedies=REMEDIES,
)
LOST = Cause(
    failure="peer_connection_lost", title=FAILURES["peer_connection_lost"], scope="rank",
    role="aftermath", ranks=[0, 1, 2, 4], grade="proven",
)  # fmt: skip
STEPS = [
    *(Step(ask=f"Is it question {n}?", answer="no") for n in range(5)),
    Step(ask="Does one rank compile while the others wait?", answer="yes", where="events/agent-1.jsonl:88"),
    Step(ask="Did the cache grow?", answer="unknown"),
]  # fmt: skip
FOLDER = "attempts/1/stacks/1795424043"
TRUNK = ["train (train.py:120)", "main (train.py:180)"]
STACKS = [
    Stack(
        [3], True, True, "Scheduler.codegen (scheduler.py)",
        ["Popen.communicate (subprocess.py)", "codegen_and_compile (compile_fx.py)",
         "forward\x1b[2J (model.py:30)", "forward (model.py:52)", "step (train.py:77-79)", *TRUNK],
        2, f"{FOLDER}/rank-00003.json", 71,
    ),
    Stack([0, 1, 2, 4, 5, 6], False, False, "", ["all_gather (distributed_c10d.py)", *TRUNK], 2,
          f"{FOLDER}/rank-00000.json", 7),
    Stack([7], False, None, "", [], 0, f"{FOLDER}/rank-00007.json", 0),
]  # fmt: skip
CASES = {
    "cause": Verdict(
        bundle="runs/fsdp2-0931",
        symptom="slow",
        run=RUN,
        causes=[CAUSE],
        aftermath=[LOST],
        steps=STEPS,
        stacks=STACKS,
        unknown=[Unknown("rank_killed", [5], ["agent"])],
        coverage={
            "stack_dump": Coverage(present=[0, 1, 2, 3, 4], missing=[6, 7], refused=[5],
                                   reason={"5": "ptrace refused", "6": "left none", "7": "left none"}),
            "flight_recorder": Coverage(missing=[0, 1, 2, 3, 4, 5, 6, 7]),
        },
    ),
    "unknown": Verdict(
        bundle="left",
        symptom="hang",
        run=Run(num_ranks=2),
        waits=[Wait("default_pg", "all_reduce", 7, [0], [1], [], "attempts/1/flight/1/rank-00000.json")],
        unknown=[Unknown("rank_killed", [1], ["agent", "launcher_log"]),
                 Unknown("collective_skipped", [1], ["flight_recorder"])],
        collect_next=[Collect("stack_dump", [1], "py-spy dump --json --nonblocking --pid PID  --rank 1")],
        steps=STEPS[-2:],
    ),
    "nothing": Verdict(bundle="runs/x", symptom="none", run=Run(num_ranks=4, nodes=["a", "b"])),
    "several": Verdict(
        bundle="a/very/long/" + "name-" * 20,
        symptom="crash",
        run=RUN,
        causes=[CAUSE,
                msgspec.structs.replace(CAUSE, failure="x", ranks=[5], grade="likely", remedies=[])],
    ),
}  # fmt: skip


def compare(name: str, text: str) -> None:
    stored = HERE / name
    if os.environ.get("REWRITE_GOLDENS"):
        stored.write_text(text)
    assert text == stored.read_text()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("columns", [80, 50])
def test_the_terminal_form_fits_its_columns_and_is_as_stored(case, columns):
    text = click.unstyle(terminal.render(CASES[case], BOOK, columns))
    assert max(map(len, text.splitlines())) <= columns
    assert not any(line.endswith(" ") for line in text.splitlines())
    if columns == 80:
        compare(f"{case}.txt", text)


@pytest.mark.parametrize("case", CASES)
def test_the_markdown_form_is_as_stored(case):
    compare(f"{case}.md", markdown.render(CASES[case], BOOK))


def test_nothing_is_left_away_where_all_is_asked_for():
    text = click.unstyle(terminal.render(CASES["cause"], BOOK, 80, full=True))
    assert "cache 12 entries" in text and "question 3?" in text and "verify:" in text and "-v" not in text


def test_who_why_how_sure_and_what_now_stand_on_the_first_screen():
    screen = click.unstyle(terminal.render(CASES["cause"], BOOK, 80)).splitlines()[:24]
    for part in ("rank 3", "proven", "SLOW", "DO "):
        assert any(part in line for line in screen), part


def many(num: int) -> Verdict:
    """64 ranks at `num` places: one rank at each, the rest at the last."""
    places = [[rank] for rank in range(num - 1)] + [list(range(num - 1, 64))]
    stacks = [
        Stack(
            who, len(who) == 1, False, "", [f"at_{who[0]} (x.py:1)", *TRUNK], 2, f"{FOLDER}/rank-00000.json"
        )
        for who in places
    ]
    return msgspec.structs.replace(CASES["unknown"], stacks=stacks)


def test_of_many_places_the_odd_ones_and_the_common_one_are_shown():
    text = click.unstyle(terminal.render(many(10), BOOK, 80))
    assert [word for word in text.split() if word.startswith("at_")] == ["at_0", "at_1", "at_9"]
    assert "[2-8] at 7 other places: -v" in text and "[9-63] not moving" in text
    assert "[0-63] all under train (train.py:120)" in text
    everything = click.unstyle(terminal.render(many(10), BOOK, 80, full=True))
    assert sum(word.startswith("at_") for word in everything.split()) == 10 and "-v" not in everything


@pytest.mark.parametrize("num", [1, 2, 3, 4, 64])
def test_every_rank_with_a_stack_is_named_however_many_places_there_are(num):
    labels = [row.text.partition("]")[0][1:] for row in section(many(num), "STACKS") if row.text[0] == "["]
    assert unfolded(labels[:-1] if num > 1 else labels) == list(range(64))


def section(case: Verdict, label: str) -> list[Row]:
    return next(part.rows for part in page(case, BOOK).sections if part.label == label)


def unfolded(labels: list[str]) -> list[int]:
    spans = [part.partition("-") for label in labels for part in label.split(",")]
    return sorted(n for low, _, high in spans for n in range(int(low), int(high or low) + 1))


def test_stacks_are_shown_where_the_job_stands_not_where_it_is_well_or_crashed():
    for symptom, is_shown in {
        "hang": 1,
        "slow": 1,
        "unknown": 1,
        "will_not_start": 1,
        "crash": 0,
        "none": 0,
    }.items():
        case = msgspec.structs.replace(CASES["cause"], symptom=symptom)
        assert ("STACKS" in terminal.render(case, BOOK)) == bool(is_shown), symptom
        assert "STACKS" in terminal.render(case, BOOK, full=True)


def test_the_two_forms_for_people_carry_the_same_words():
    def words(text: str) -> set[str]:
        return {w.strip("*`()-:#.;,1234567890\\").lower() for w in text.replace("\\", "").split()}

    for case in CASES.values():
        told = words(click.unstyle(terminal.render(case, BOOK, 2000)))
        assert words(markdown.render(case, BOOK)) | {"run"} == told


def test_the_phase_reads_as_a_place_or_as_a_time():
    def state(phase: str) -> str:
        return page(Verdict(bundle="x", symptom="crash", run=Run(phase=phase)), BOOK).state

    assert state("compile") == "in compile"
    assert state("before the first step") == "before the first step"
    assert state("unknown") == ""


def test_no_control_character_passes():
    for text in (click.unstyle(terminal.render(CASES["cause"], BOOK)), markdown.render(CASES["cause"], BOOK)):
        assert all(c.isprintable() or c == "\n" for c in text)


def test_json_is_the_verdict_itself():
    for case in CASES.values():
        assert msgspec.json.decode(json.render(case), type=Verdict) == case
        assert json.render(case).startswith('{\n "schema": "diagnose/verdict/1"')
        assert case.schema == verdict.SCHEMA

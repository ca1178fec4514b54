"""show, runs, postmortem, explain, playbook: never a traceback, and the exit code says what was found."""

import subprocess
import sys

import msgspec
import pytest

from diagnose import playbook

BOOK = playbook.load()


@pytest.fixture
def failed(place):
    """A run whose rank raised, as files alone: written here, not run."""
    folder = place.path / "left" / "attempts" / "1"
    (folder / "logs").mkdir(parents=True)
    (folder / "logs" / "rank-00001.log").write_text(
        "Traceback (most recent call last):\n"
        '  File "train.py", line 3, in <module>\n    main()\n'
        "ValueError: bad \x1b[31mbatch\x1b[0m\n"
    )
    return place.path / "left"


def test_postmortem_prints_exactly_one_json_object(place, failed):
    ended = place.run("postmortem", "left", "--format", "json")
    verdict = msgspec.json.decode(ended.stdout)
    assert verdict["schema"] == "diagnose/verdict/1"
    assert verdict["bundle"] == "left"
    assert [(c["failure"], c["ranks"], c["grade"]) for c in verdict["causes"]] == [
        ("rank_exception", [1], "likely")
    ]
    assert ended.returncode == 1


@pytest.mark.parametrize("form", ["terminal", "markdown"])
def test_no_control_character_of_the_evidence_reaches_the_screen(place, failed, form):
    ended = place.run("postmortem", "left", "--format", form)
    assert ended.returncode in (1, 3)
    assert b"\x1b" not in ended.stdout


def test_postmortem_of_a_folder_leaves_it_as_it_was(place, failed):
    before = sorted(place.path.rglob("*"))
    place.run("postmortem", "left")
    assert sorted(place.path.rglob("*")) == before


@pytest.mark.parametrize(
    "words",
    [
        ("postmortem", "nowhere"),
        ("show", "nothing"),
        ("show",),
        ("explain", "no_such_failure"),
        ("playbook", "no_such_symptom"),
    ],
)
def test_what_is_not_there_is_told_in_one_line(place, words):
    ended = place.run(*words)
    assert ended.returncode == 2
    assert ended.stderr.startswith(b"Error: ") and ended.stderr.count(b"\n") == 1


def test_postmortem_of_rubbish_is_no_traceback(place):
    (place.path / "rubbish").write_bytes(bytes(range(256)) * 10)
    (place.path / "empty").mkdir()
    for name in ("rubbish", "empty"):
        ended = place.run("postmortem", name)
        assert ended.returncode == 3
        assert b"Traceback" not in ended.stderr


def test_where_nothing_can_be_told_it_says_what_to_fetch(place):
    (place.path / "hello.log").write_text("hello\n")
    ended = place.run("postmortem", "hello.log", "--format", "json")
    verdict = msgspec.json.decode(ended.stdout)
    assert (ended.returncode, verdict["causes"], verdict["unrecognised"]) == (3, [], ["hello.log"])
    assert {"flight_recorder", "stack_dump"} <= {item["source"] for item in verdict["collect_next"]}
    assert "collective_not_joined" in {item["failure"] for item in verdict["unknown"]}
    shown = place.run("postmortem", "hello.log").stdout.decode()
    assert "COLLECT" in shown and shown.count("diagnose run -- COMMAND\n") == 1


def test_postmortem_takes_several_places_and_standard_input_together(place, failed):
    (place.path / "other").mkdir()
    (place.path / "other" / "rank0.log").write_text("[rank0]: ERROR: who knows what this is\n")
    piped = subprocess.PIPE
    process = place.start("postmortem", "left/", "other", "-", "--format", "json", stdin=piped)
    killed = b"[ 9.5] Memory cgroup out of memory: Killed process 7 (python) total-vm:9kB, anon-rss:8kB\n"
    verdict = msgspec.json.decode(process.communicate(killed, timeout=60)[0])
    assert verdict["bundle"] == "left/ other -"
    found = {one["file"]: one["sources"] for one in verdict["recognised_in"]}
    assert found == {
        "left/attempts/1/logs/rank-00001.log": {"rank_log": 2}, "other/rank0.log": {"rank_log": 1},
        "-": {"kernel_log": 2},
    }  # fmt: skip
    line = {"where": "other/rank0.log:1", "text": "[rank0]: ERROR: who knows what this is"}
    assert verdict["unrecognised_lines"] == {"num": 1, "examples": [line]}
    shown = place.run("postmortem", "other", "-v").stdout.decode()
    assert "READ" in shown and "who knows what this is" in shown


def test_why_a_failure_was_or_was_not_concluded_is_told_with_its_lines(place, failed):
    told = place.run("postmortem", "left", "--explain", "rank-exception")
    text = told.stdout.decode()
    assert told.returncode == 1 and "`rank_exception` concluded: a cause, likely; rank 1." in text
    assert "- **yes**: `" in text and "(`logs/rank-00001.log:4`)" in text
    other = place.run("postmortem", "left", "--explain", "host_oom_kill").stdout.decode()
    assert "not concluded" in other and "- **unknown**: " in other and "would settle it: " in other
    found = msgspec.json.decode(
        place.run("postmortem", "left", "--explain", "host_oom_kill", "--format", "json").stdout
    )
    assert found["explained"]["failure"] == "host_oom_kill" and found["causes"]
    assert place.run("postmortem", "left", "--explain", "nothing_like_it").returncode == 2


def test_a_near_miss_of_a_name_is_suggested(place):
    assert b"compile_skew" in place.run("explain", "compile-skwe").stderr


def test_explain_says_how_to_recognise_it_and_what_to_do(place):
    text = place.run("explain", "compile_skew").stdout.decode()
    for part in ("# ", "## Recognise it by", "## What to do", "## Easily mistaken for", "Verify: "):
        assert part in text


@pytest.mark.parametrize("form", ["explain", "playbook"])
def test_without_a_name_all_are_listed(place, form):
    lines = place.run(form).stdout.decode().splitlines()
    names = BOOK.failures if form == "explain" else BOOK.trees
    assert sorted(line.split()[0] for line in lines) == sorted(names)


def test_every_question_of_a_tree_is_numbered_once_and_every_answer_leads_on(place):
    for name in BOOK.trees:
        text = place.run("playbook", name).stdout.decode()
        numbers = [line.partition(".")[0] for line in text.splitlines() if line[:1].isdigit()]
        assert numbers == [str(n) for n in range(1, len(numbers) + 1)]
        assert text.count("- yes: ") == text.count("- no: ") == len(numbers)


def test_a_run_is_found_by_path_id_and_name(place):
    place.run("run", "--root", "runs", "--name", "mine", "--", "true")
    place.run("run", "--root", "runs", "--name", "other", "--", "sh", "-c", "exit 1")
    ids = {p.name.partition("-")[0]: p for p in place.root.iterdir()}
    for given in ("mine", ids["mine"].name, str(ids["mine"])):
        shown = place.run("show", "--root", "runs", "--format", "json", given)
        assert msgspec.json.decode(shown.stdout)["run"]["name"] == ids["mine"].name
        assert shown.returncode == 0
    newest = place.run("show", "--root", "runs", "--format", "json")
    assert msgspec.json.decode(newest.stdout)["run"]["name"] == ids["other"].name
    place.environ["DIAGNOSE_ROOT"] = "runs"
    table = place.run("runs").stdout.decode().splitlines()
    assert [line.split()[0] for line in table] == ["RUN", ids["other"].name, ids["mine"].name]


def test_the_same_verdict_comes_from_the_files_alone(place):
    place.run("run", "--root", "runs", "--", "sh", "-c", "kill -9 $$")
    written = msgspec.json.decode((place.folder / "verdict.json").read_bytes())
    again = msgspec.json.decode(place.run("postmortem", str(place.folder), "--format", "json").stdout)
    assert again == written


HEAVY = ("msgspec", "torch", "rich", "psutil", "structlog")


def test_help_imports_nothing_but_click():
    code = (
        "import sys\nfrom diagnose.cli import group\n"
        "try: group.main(['--help'], standalone_mode=False)\nfinally: pass\n"
        f"print([m for m in {HEAVY} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_no_reading_command_imports_what_only_probes_need(place):
    (place.path / "empty").mkdir()
    code = (
        "import sys\nfrom diagnose.cli import group\n"
        "for words in (['postmortem', 'empty'], ['explain'], ['playbook', 'hang'], ['runs'],\n"
        "              ['run', '--', 'true'], ['watch']):\n"
        "    try: group.main(words, standalone_mode=False)\n"
        "    except Exception as error: print(error)\n"
        f"print([m for m in {HEAVY[1:]} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=place.path, env=place.environ, capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1] == "[]", done.stderr

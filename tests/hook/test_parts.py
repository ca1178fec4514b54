"""The hook's small parts, by themselves."""

import json
import math
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes import layout
from probes.files import append_line, atomic_write
from probes.rank_hook.diagnose_rank import claim, events, groups, state


def test_a_page_reads_as_it_was_written(tmp_path: Path) -> None:
    path = str(tmp_path / "rank.bin")
    page = state.Page(path, 4242, 1 << 40)
    began = time.time()
    page.flag(state.USR2_TAKEN)
    page.enter(2)
    assert [page.step() for _ in range(300)][-1] == 300
    page.add_compile(1.5)
    page.flag(state.HAS_GROUP)
    now = state.read(path)
    assert now is not None
    assert (now.pid, now.start_ticks, now.num_steps, now.num_progress) == (4242, 1 << 40, 300, 301)
    assert (now.phase, now.num_compiles, now.compile_s) == ("compile", 1, 1.5)
    assert (now.usr2_taken, now.has_group, now.is_exiting) == (True, True, False)
    assert began <= now.phase_since <= now.last_step == now.last_progress <= time.time()
    page.enter(0)
    after = state.read(path)
    assert after is not None and after.phase == "" and after.phase_since == 0.0
    assert Path(path).stat().st_size == 4096 and list(tmp_path.iterdir()) == [Path(path)]
    page.keep()


def test_the_page_keeps_how_long_the_first_steps_took_and_the_newest(tmp_path: Path) -> None:
    path = str(tmp_path / "rank.bin")
    page = state.Page(path, 4242, 1 << 40)
    assert state.step_times(path) == (0, [], []) and state.timings(path) is None
    now, times = 1000.0, [0.5, *[0.25] * 600, 8.0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(state, "time", lambda: now)
        page.step()
        for seconds in times:
            now += seconds
            page.step()
    num, first, newest = state.step_times(path)
    assert (num, first, len(newest)) == (603, [0.5, *[0.25] * 13], 496) and max(newest) == 8.0
    told = state.timings(path)
    assert told is not None and told["first_s"] == [0.5, *[0.25] * 7]
    assert (told["num_steps"], told["median_s"], told["p90_s"], told["max_s"]) == (603, 0.25, 0.25, 8.0)
    page.keep()


@pytest.mark.parametrize("raw", [b"", b"DGSTATE1", b"DGSTATE9" + bytes(100), bytes(4096)])
def test_what_is_no_page_reads_as_none(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "rank.bin"
    path.write_bytes(raw)
    assert state.read(str(path)) is None and state.read(str(tmp_path / "absent")) is None


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(plain)
def test_json_is_what_the_standard_library_reads_back(value: Any) -> None:
    assert json.loads(events.dumps(value)) == value


def test_json_has_no_numbers_that_json_has_not() -> None:
    assert events.dumps([math.nan, math.inf, -math.inf]) == "[null,null,null]"


def test_a_line_after_a_torn_one_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "rank.jsonl"
    path.write_bytes(b'{"v":1}\n{"v":1,"ti')
    events.Log(str(path), {"rank": 3}).append("rank.exiting", "info", {})
    lines = path.read_text().splitlines()
    assert lines[1] == '{"v":1,"ti' and json.loads(lines[2])["rank"] == 3
    append_line(path, b"next")
    assert path.read_bytes().endswith(b"\nnext\n")


def test_an_atomic_write_leaves_the_old_file_where_it_fails(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    atomic_write(path, b"old")
    atomic_write(str(path), b"new")
    with pytest.raises(TypeError):
        atomic_write(path, "no bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"new" and list(tmp_path.iterdir()) == [path]


def test_the_layout_is_the_contracts() -> None:
    assert layout.events_path("S", "1", "rank-00003") == "S/attempts/1/events/rank-00003.jsonl"
    assert layout.state_path("S", "1", 3) == "S/attempts/1/state/rank-00003.bin"
    assert layout.claim_path("S", "1", 3) == "S/attempts/1/claims/rank-00003.json"
    assert layout.faults_path("S", "1", 3) == "S/attempts/1/faults/rank-00003.txt"
    assert layout.errors_path("S", "1", 3) == "S/attempts/1/errors/rank-00003.json"
    assert layout.socket_path("S", 3, 77) == "S/sock/r3-77.sock"
    assert layout.log_path("R", "1", 3) == "R/attempts/1/logs/rank-00003.log"
    assert layout.dump_dir("R", "1", "flight", "1795424041") == "R/attempts/1/flight/1795424041"


KEY = "3;1;none;0"
RANK = {"RANK": "3", "LOCAL_RANK": "1", "TORCHELASTIC_RUN_ID": "none", "TORCHELASTIC_RESTART_COUNT": "0"}


@pytest.mark.parametrize(
    ("environ", "argv", "role"),
    [
        (RANK, ["python", "train.py"], "rank"),
        (RANK, ["python", "/v/bin/torchrun", "train.py"], ""),
        (RANK, ["python", "-u", "-m", "torch.distributed.run", "train.py"], ""),
        (RANK, ["python", "train.py", "torchrun"], "rank"),
        (RANK | {"DIAGNOSE_CLAIM": "7;" + KEY}, ["python", "-c", "x"], "waiting"),
        (RANK | {"DIAGNOSE_CLAIM": "100;" + KEY}, ["python", "train.py"], "rank"),
        (RANK | {"DIAGNOSE_CLAIM": "7;2;0;none;0"}, ["python", "train.py"], "rank"),
        (RANK | {"DIAGNOSE_CLAIM": "7;3;1;none;1"}, ["python", "train.py"], "rank"),
        ({"DIAGNOSE_PARENT_PID": "50"}, ["python", "train.py"], "command"),
        ({"DIAGNOSE_PARENT_PID": "50"}, ["python", "-m", "accelerate.commands.launch", "t.py"], ""),
        ({"DIAGNOSE_PARENT_PID": "51"}, ["python", "train.py"], "late"),
        ({"DIAGNOSE_CLAIM": "7;;;;"}, ["python", "train.py"], "waiting"),
        ({"DIAGNOSE_CLAIM": "7;;;"}, ["python", "train.py"], "waiting"),
        ({"RANK": "x"}, ["python"], "late"),
    ],
)
def test_what_a_process_may_become(environ: dict[str, str], argv: list[str], role: str) -> None:
    assert claim.role(environ, argv, 100, 50) == role


def test_a_process_that_is_no_rank_loads_next_to_nothing(runner: Any, python: Any) -> None:
    text = "import sys; print(sorted(m for m in sys.modules if m.startswith('diagnose_rank.')))"
    waiting = runner.hooked(python("-c", text), DIAGNOSE_CLAIM="1;;;;").stdout
    assert waiting == "['diagnose_rank.claim', 'diagnose_rank.start', 'diagnose_rank.torch_import']\n"
    heavy = "import sys; print([m for m in ('re', 'json', 'ctypes', 'enum', 'typing') if m in sys.modules])"
    assert runner.hooked(python("-c", heavy), RANK="0").stdout == "[]\n"


@pytest.mark.parametrize("part", ["claim", "events", "names", "redact"])
def test_the_examples_in_the_parts_hold(part: str) -> None:
    import doctest
    import importlib

    result = doctest.testmod(importlib.import_module(f"probes.rank_hook.diagnose_rank.{part}"))
    assert result.attempted > 0 and result.failed == 0


def test_the_hook_is_python_3_9_and_imports_the_standard_library_alone() -> None:
    import ast

    for path in Path(state.__file__).parent.parent.rglob("*.py"):
        tree = ast.parse(path.read_text(), feature_version=(3, 9))
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            for name in names:
                top = name.partition(".")[0]
                known = {*sys.stdlib_module_names, "sitecustomize", "diagnose_rank"}
                assert top in known, f"{path}: {name}"


def test_importing_the_parts_does_nothing() -> None:
    text = "import sys, probes.redact, probes.layout; print(sys.excepthook is sys.__excepthook__)"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


def test_the_place_where_ranks_meet_is_told_without_who_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER_ADDR", "node-0")
    monkeypatch.setenv("MASTER_PORT", "29500")
    assert groups._address((), {}) == "tcp://node-0:29500"
    assert groups._address(("gloo", "env://"), {}) == "tcp://node-0:29500"
    url = "tcp://me:secret@node-1:4711?rank=1&world_size=2"
    assert groups._address(("gloo",), {"init_method": url}) == "tcp://node-1:4711"
    assert groups._address((), {"store": object()}) is None
    monkeypatch.delenv("MASTER_PORT")
    assert groups._address((), {}) is None

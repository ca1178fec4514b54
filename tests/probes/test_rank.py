"""What the agent knows of one rank."""

import os
import subprocess
from pathlib import Path

import pytest

from probes import layout, procfs
from probes.rank_hook.diagnose_rank import state
from probes.watching import followed
from probes.watching.rank import Rank
from probes.watching.table import Table


def test_a_rank_that_leaves_or_of_which_nothing_is_known_is_not_asked_for_its_interpreter(
    tmp_path: Path,
) -> None:
    one = Rank(0, "1", os.getpid(), 7, "hook", 0, 2)
    assert one.is_leaving(str(tmp_path)), "nothing is known"
    path = Path(layout.state_path(str(tmp_path), "1", 0))
    path.parent.mkdir(parents=True)
    page = state.Page(str(path), os.getpid(), 7)
    assert not one.is_leaving(str(tmp_path))
    page.flag(state.EXITING)
    assert one.is_leaving(str(tmp_path))
    page.keep()


def test_a_rank_in_a_pid_namespace_of_its_own_is_found_by_its_start(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = procfs.stat(os.getpid())
    assert mine is not None
    claim = Rank(0, "1", 1, mine.start_ticks, "hook", 0, 2)
    assert followed.seen_from_here(claim) is claim, "nobody calls itself 1"
    own_pids = procfs.own_pids
    monkeypatch.setattr(procfs, "own_pids", lambda pid: [pid, 1] if pid == os.getpid() else own_pids(pid))
    found = followed.seen_from_here(claim)
    assert (found.pid, found.inner) == (os.getpid(), 1)
    assert followed.seen_from_here(found) is found


def test_a_script_that_tries_torch_first_and_a_cleaned_environment_hide_no_rank(tmp_path: Path) -> None:
    environ = {"RANK": "0", "WORLD_SIZE": "1", "PATH": os.environ["PATH"]}
    with subprocess.Popen(["sleep", "60"], env=environ) as real, subprocess.Popen(["sleep", "60"]) as trial:
        try:
            table = Table("a-mark-that-it-lacks", os.getpid())
            ranks = followed.Followed(str(tmp_path), "1", table, lambda *_, **__: None)
            ranks._claim(Rank(0, "1", trial.pid, ticks(trial.pid), "hook", 0, 1, is_provisional=True))
            assert [one.pid for one in ranks.current()] == [trial.pid]
            table.refresh()
            table.young.clear()
            ranks.scan()
            assert [(one.pid, one.how) for one in ranks.current()] == [(real.pid, "environment")]
        finally:
            real.kill()
            trial.kill()


def test_whose_child_each_is_is_known_before_any_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    table, known = Table("a-mark"), list[int]()
    monkeypatch.setattr(table, "_read_environ", lambda stat: known.append(len(table.parents)))
    table.refresh()
    assert known and set(known) == {len(known)}


def ticks(pid: int) -> int:
    now = procfs.stat(pid)
    return now.start_ticks if now else 0

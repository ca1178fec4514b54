"""What the agent knows of one rank."""

import os
from pathlib import Path

from probes import layout
from probes.rank_hook.diagnose_rank import state
from probes.watching.rank import Rank


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

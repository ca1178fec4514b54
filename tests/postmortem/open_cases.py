"""`open.toml`: the written cases that are not right yet, each with what is said of it. It can only shrink by hand
or by `python -m tests.postmortem --rewrite-open`; a case in it that has become right fails the tests.
"""

import json
import tomllib
from pathlib import Path

from tests.postmortem.scoring import Case, Score

PATH = Path(__file__).parent / "open.toml"
HEAD = "# Written cases that are not right yet: what is said of them. `python -m tests.postmortem --rewrite-open`.\n\n"


def is_good(got: Score) -> bool:
    return got.outcome == "right" and got.ranks in ("", "exact")


def load() -> dict[str, str]:
    return tomllib.loads(PATH.read_text())


def rewrite(scored: list[tuple[Case, Score]]) -> None:
    lines = [
        f"{case.name} = {json.dumps(f'{got.outcome}, ranks {got.ranks or chr(45)}: {got.told}')}\n"
        for case, got in scored
        if not is_good(got)
    ]
    PATH.write_text(HEAD + "".join(lines))

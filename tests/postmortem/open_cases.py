"""`open.toml`: the written cases that are not right yet, each with what is said of it.

A case in it that has become right fails the tests; `--rewrite-open` writes it anew.
"""

import json
import tomllib
from pathlib import Path

from tests.postmortem.scoring import Case, Score

PATH = Path(__file__).parent / "open.toml"
HEAD = """\
# Written cases that are not right yet: what is said of them.
# Written by `python -m tests.postmortem --rewrite-open`.

"""


def is_good(got: Score) -> bool:
    return got.outcome == "right" and got.ranks in ("", "exact")


def load() -> dict[str, str]:
    return tomllib.loads(PATH.read_text())


def rewrite(scored: list[tuple[Case, Score]]) -> None:
    lines = [f"{case.name} = {json.dumps(said(got))}\n" for case, got in scored if not is_good(got)]
    PATH.write_text(HEAD + "".join(lines))


def said(got: Score) -> str:
    ranks = f", ranks {got.ranks}" if got.ranks else ""
    return f"{got.outcome}{ranks}: {got.told}"

"""`open.toml`: the written cases that are not right yet, each with what is said of it.

`cases`: with all of the evidence. `less`: right or silent with all of it, wrong with less. An entry that has
become right fails the tests; `python -m tests.postmortem --rewrite-open` writes the file anew.
"""

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path

from tests.postmortem.less import something_else
from tests.postmortem.scoring import Case, Score, judged

PATH = Path(__file__).parent / "open.toml"
HEAD = "# Written cases that are not right yet: what is said of them. Written by `--rewrite-open`.\n"


def is_good(got: Score) -> bool:
    return got.outcome == "right" and got.ranks in ("", "exact")


def blames(got: Score) -> bool:
    """Whether somebody innocent is already blamed with all of the evidence."""
    return got.outcome == "wrong" or got.ranks == "wrong"


def load() -> dict[str, dict[str, str]]:
    return tomllib.loads(PATH.read_text())


def rewrite(cases: Sequence[Case]) -> None:
    scored = {case.name: judged(case) for case in cases}
    wrong = {name: told(got) for name, got in scored.items() if not is_good(got)}
    less = {case.name: something_else(case) for case in cases if not blames(scored[case.name])}
    PATH.write_text(HEAD + table("cases", wrong) + table("less", {k: v for k, v in less.items() if v}))


def told(got: Score) -> str:
    return f"{got.outcome}{', ranks ' + got.ranks if got.ranks else ''}: {got.told}"


def table(name: str, rows: dict[str, str]) -> str:
    return f"\n[{name}]\n" + "".join(f"{key} = {json.dumps(text)}\n" for key, text in sorted(rows.items()))

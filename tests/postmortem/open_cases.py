"""`open.toml`: the written cases that are not right yet, each with what is said of it.

`cases`: with all of the evidence. `less`: right or silent with all of it, wrong with less. `dressed`: judged
otherwise in some dress. An entry that has become right fails the tests; `--rewrite-open` writes it anew.
"""

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path

from tests.postmortem.dressed import DRESSES, dress
from tests.postmortem.less import something_else
from tests.postmortem.scoring import Case, Score, judged, score

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
    other = {case.name: spoilt_by(case, scored[case.name]) for case in cases}
    tables = {"cases": wrong, "less": less, "dressed": other}
    PATH.write_text(HEAD + "".join(table(name, rows) for name, rows in tables.items()))


def spoilt_by(case: Case, plain: Score) -> str:
    """The dresses in which a case is judged otherwise than as it is, with what is said then; "" for none.

    Where it is not right as it is, only blame counts.
    """
    if blames(plain):
        return ""
    found = {how: score(dress(case, how), case.truth) for how in DRESSES}
    bad = {how: got for how, got in found.items() if (is_good(plain) and not is_good(got)) or blames(got)}
    return "; ".join(f"{how}: {told(got)}" for how, got in bad.items())


def told(got: Score) -> str:
    return f"{got.outcome}{', ranks ' + got.ranks if got.ranks else ''}: {got.told}"


def table(name: str, rows: dict[str, str]) -> str:
    lines = (f"{key} = {json.dumps(text)}\n" for key, text in sorted(rows.items()) if text)
    return f"\n[{name}]\n" + "".join(lines)

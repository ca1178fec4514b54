"""The table of drills in README, written from what `make drill` measured.

    diagnose drill --all --times 3 --format json | python tests/drills/table.py

Exits with 1 where a drill was not right each time; skipped ones keep their reason.
"""

import json
import re
import statistics
import sys
from pathlib import Path

from diagnose import drilling

README = Path(__file__).parent.parent.parent / "README.md"
HEAD = ["| drill | what it injects | expected | got | to verdict |", "|---|---|---|---|---|"]
FRAME = re.compile(r"(<!-- drills -->\n).*?(\n<!-- /drills -->)", re.S)


def words(answer: dict) -> str:
    """`compile_skew 3` for one cause; ranks as they are counted."""
    if not answer or not answer["failure"]:
        return "no cause" if answer else ""
    first = f"{answer['failure']} {', '.join(map(str, answer['ranks']))}".rstrip()
    others = [re.sub(r" on \[(.*)\]", r" \1", other).rstrip() for other in answer["others"]]
    return "; ".join([first, *others])


def row(name: str, runs: list[dict]) -> str:
    """One line: what came of all its runs."""
    drill = drilling.drills()[name]
    right = sum(run["right"] for run in runs)
    skipped = [run["reason"] for run in runs if run["skipped"]]
    got = f"right {right} of {len(runs)}" if not skipped else f"skipped: {skipped[0]}"
    wrong = sorted({run["reason"] for run in runs if not run["right"] and not run["skipped"]})
    took = [run["to_verdict_s"] for run in runs if run["to_verdict_s"] is not None]
    late = f"{statistics.median(took):.1f} s" if took else ""
    told = "; ".join([got, *wrong])
    return f"| `{name}` | {drill.story} | {words(runs[0]['expected'])} | {told} | {late} |"


def main() -> int:
    runs: dict[str, list[dict]] = {}
    for run in json.load(sys.stdin)["drills"]:
        runs.setdefault(run["name"], []).append(run)
    rows = [row(name, of_one) for name, of_one in runs.items()]
    print("\n".join(rows))
    if set(runs) == set(drilling.drills()):
        text = README.read_text(encoding="utf-8")
        table = "\n".join([*HEAD, *rows])
        README.write_text(FRAME.sub(lambda found: found[1] + table + found[2], text), encoding="utf-8")
    bad = sum(not (run["right"] or run["skipped"]) for of_one in runs.values() for run in of_one)
    print(f"{sum(map(len, runs.values()))} runs of {len(runs)} drills, {bad} wrong")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

"""How many incidents `postmortem` gets right, class by class.

    python -m tests.postmortem [--half odd|even|all] [--details] [--rewrite-open]

The real ones are reported by halves, then the written ones, then the captured ones. The even half is held
out: `--details`, what was said of each case, is never printed of it.
"""

import argparse
from collections import Counter, defaultdict

from tests.postmortem import open_cases
from tests.postmortem.scoring import NAMES, Case, Score, captured, judged, real, written

COLUMNS = ("cases", "right", "exact ranks", "abstained", "wrong")


def table(title: str, scored: list[tuple[Case, Score]], details: bool) -> None:
    """One line a class, and their sum; `exact ranks` is out of those whose truth names ranks."""
    rows: dict[int, Counter[str]] = defaultdict(Counter)
    for case, got in scored:
        row = rows[case.truth.class_]
        row.update(["cases", got.outcome, *(["named"] if got.ranks else [])])
        row["exact"] += got.ranks == "exact"
    print(f"\n{title}\n{'class':31}" + "".join(f"{name:>12}" for name in COLUMNS))
    for number, row in [*sorted(rows.items()), (-1, sum(rows.values(), Counter()))]:
        name = f"{number:2} {NAMES[number]}" if number >= 0 else "   all"
        exact = f"{row['exact']}/{row['named']}"
        cells = (row["cases"], row["right"], exact, row["abstained"], row["wrong"])
        print(f"{name:31}" + "".join(f"{cell:>12}" for cell in cells))
    for case, got in scored if details else []:
        if got.outcome != "right" or got.ranks in ("wrong", "none"):
            ranks = got.ranks or "not asked"
            print(f"  {case.name}: class {case.truth.class_}, {got.outcome}, ranks {ranks}: {got.told}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--half", choices=["odd", "even", "all"], default="all")
    parser.add_argument("--details", action="store_true")
    parser.add_argument("--rewrite-open", action="store_true", help="write open.toml as the cases stand now")
    asked = parser.parse_args()
    if asked.rewrite_open:
        open_cases.rewrite(written())
        return
    for half in ("odd", "even"):
        if asked.half in (half, "all"):
            scored = [(case, judged(case)) for case in real(half)]
            table(f"real incidents, {half} numbers", scored, asked.details and half == "odd")
    table("written cases", [(case, judged(case)) for case in written()], asked.details)
    table("captured cases", [(case, judged(case)) for case in captured()], asked.details)


if __name__ == "__main__":
    main()

"""Random incidents, scored: `python tests/bench/incidents.py [NUM] [SEED] [--torchfrtrace NUM]`.

Kinds of fault in turn, a fifth of the jobs healthy. The standard analyser is asked about the same jobs, or
the first NUM of them: the ranks that it names are its answer.
"""

import argparse
import multiprocessing
import sys
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # `tests` is no installed package

from tests.incidents.faults import KINDS
from tests.incidents.incident import HEALTHY, generate
from tests.incidents.scoring import OUTCOMES, judge, right_ids, row, torchfrtrace

MIX = [*KINDS, "several", "several", *HEALTHY, HEALTHY[1]]


def one(seed: int, compared: range) -> tuple[str, str, bool, str, str]:
    """(kind, outcome, whether the causes' names fit, outcome of the standard analyser, what was said)."""
    incident = generate(seed, MIX[seed % len(MIX)])
    result, causes = judge(incident)
    theirs = torchfrtrace(seed, incident.kind) if seed in compared else ""
    said = f"{result}: {causes} | {incident.told()}"
    return incident.kind, result, right_ids(incident, causes), theirs, said


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("num", nargs="?", type=int, default=2000)
    parser.add_argument("seed", nargs="?", type=int, default=0)
    parser.add_argument("--torchfrtrace", type=int, metavar="NUM")
    parser.add_argument(
        "--show", type=int, default=0, metavar="NUM", help="show so many wrong answers a kind"
    )
    told = parser.parse_args()
    seeds = range(told.seed, told.seed + told.num)
    score: dict[str, Counter[str]] = {}
    theirs: dict[str, Counter[str]] = {}
    wrong: dict[str, list[str]] = {}
    unfit = 0
    pools = multiprocessing.get_context("spawn")
    with pools.Pool(2) as pool, suppress(KeyboardInterrupt):  # then what is scored by then is reported
        work = partial(one, compared=seeds[: told.torchfrtrace])  # no number: all
        for kind, result, fits, other, said in pool.imap_unordered(work, seeds, chunksize=8):
            score.setdefault(kind, Counter())[result] += 1
            unfit += result == "exact" and not fits
            if other:
                theirs.setdefault(kind, Counter())[other] += 1
            if result != "exact":
                wrong.setdefault(kind, []).append(said)
    return report(score, theirs, wrong, unfit, told.show)


def total(score: dict[str, Counter[str]], kinds: Iterable[str]) -> Counter[str]:
    return sum((score.get(kind, Counter()) for kind in kinds), Counter())


def report(
    score: dict[str, Counter[str]],
    theirs: dict[str, Counter[str]],
    wrong: dict[str, list[str]],
    unfit: int,
    shown: int,
) -> int:
    heads = ["incidents", "number", "exactly the culprits (95 %)", *OUTCOMES[1:]]
    heads += ["torchfrtrace exact (95 %)", "it crashed"] if theirs else []
    print(f"| {' | '.join(heads)} |")
    print("|---" * len(heads) + "|")
    named = {kind: [kind] for kind in dict.fromkeys(MIX)}
    named["**all faulty**"] = [kind for kind in named if kind not in HEALTHY]
    named["**all healthy**"] = list(HEALTHY)
    for name, kinds in named.items():
        print(row(name, total(score, kinds), total(theirs, kinds) if theirs else None))
    print(f"\nexact, under a name that does not fit the fault: {unfit}")
    for kind, lines in wrong.items():
        for line in sorted(lines, key=len)[:shown]:
            print(f"\n{kind}: {line}")
    faulty, healthy = total(score, named["**all faulty**"]), total(score, HEALTHY)
    part = faulty["exact"] / max(1, sum(faulty.values()))
    return 0 if part >= 0.99 and not healthy["false alarm"] and not healthy["crashed"] else 1


if __name__ == "__main__":
    sys.exit(main())

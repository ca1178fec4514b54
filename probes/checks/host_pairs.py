"""Whether every two hosts of the job run a collective together; who fails with the others is named.

Every host makes this check at the same time: pairs are tried in turns, a rank on each of the two.
"""

import json
import os
from collections import Counter
from collections.abc import Sequence
from typing import Any

from probes import deadline
from probes.checking import hosts, launcher, machine, meeting, pace, trial
from probes.checking.check import Check, Measurement, Target, measured, skipped
from probes.checking.trial_files import cause

COST = ("ranks", "gpu_memory", "kernels", "network")
CHECK = Check("deep", 330.0, ("nodes", "torch"), COST, "hosts", alone=True)
PAIRS = os.path.join(os.path.dirname(trial.MAIN), "pairs.py")
BEGIN_S, PAIR_S, LIMIT_S = 60.0, 30.0, 300.0
WHERE = "a collective of two ranks"
Pair = tuple[int, int]


def measure(target: Target) -> list[Measurement]:
    names, why = hosts.of(target)
    if len(names) < 2:
        return [skipped("job", WHERE, f"one host alone is told ({why})" if names else why)]
    index = next((at for at, name in enumerate(names) if is_own(name)), None)
    if index is None:
        return [skipped("job", WHERE, f"this host is none of those that are told ({why})")]
    num_gpus = trial.visible(machine.see().num_gpus, target.environ)
    port = (launcher.of(target)[1] or launcher.PORT) + 1  # on the job's own hosts may still be meeting
    options = {"host": names[0], "port": port, "index": index}
    options |= {"num": len(names), "device": "cuda" if num_gpus else "cpu"}
    options |= {"begin_s": BEGIN_S, "pair_s": PAIR_S}
    command = [target.python, PAIRS, json.dumps(options)]
    done = deadline.run(command, LIMIT_S, trial.surroundings(target.environ, ""))
    try:
        told = json.loads(done.stdout.decode(errors="replace").strip().splitlines()[-1])
    except (IndexError, ValueError):
        words = done.stderr.decode(errors="replace").splitlines()
        late = f"no end within {LIMIT_S:g} s" if done.timed_out else cause(words)
        return [skipped("job", WHERE, f"the hosts did not meet at {names[0]}: {late}")]
    return said(told, names, pace.slow(pace.cpu_share()))


def is_own(name: str) -> bool:
    try:
        return meeting.is_own(name)
    except OSError:
        return False


def said(told: dict[str, Any], names: Sequence[str], slow: str = "") -> list[Measurement]:
    """Each pair, as both of it saw it; hosts that are to blame; and those that were not there.

    `slow`: why a pair that failed may only have been late.
    """
    found: dict[Pair, tuple[float | None, str]] = {}
    for one, other, seconds, refusal in told["pairs"]:
        before = found.get((one, other), (None, ""))
        found[one, other] = seconds or before[0], before[1] or refusal
    away = [name for at, name in enumerate(names) if at not in told["here"]]
    tries = Counter(host for pair in found for host in pair)
    bad = [] if slow else [pair for pair, (_, refusal) in found.items() if refusal]
    return [
        *(
            skipped(f"{names[one]} - {names[other]}", WHERE, f"{refusal}; {slow}")
            if slow and refusal
            else measured(f"{names[one]} - {names[other]}", WHERE, refusal=refusal, seconds=seconds)
            for (one, other), (seconds, refusal) in found.items()
        ),
        *(
            measured(names[host], WHERE, is_suspect=True, num_failed=num, num_tried=tries[host])
            for host, num in suspects(bad).items()
        ),
        *(skipped(name, WHERE, "it did not make this check: start it on all hosts at once") for name in away),
    ]


def suspects(bad: Sequence[Pair]) -> dict[int, int]:
    """Hosts without which nothing would have failed, and in how many pairs they did; of two alone, neither.

    >>> suspects([(0, 3), (1, 3), (2, 3)]), suspects([(0, 1)])
    ({3: 3}, {})
    """
    found, left = dict[int, int](), list(bad)
    while left:
        (host, num), *rest = Counter(host for pair in left for host in pair).most_common()
        if num < 2 or (rest and rest[0][1] == num):
            break
        found[host] = num
        left = [pair for pair in left if host not in pair]
    return found

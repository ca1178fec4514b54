"""Hosts of a job two at a time: a rank on each, one collective. All run this; the first has the store.

Each pair is tried by a process of its own, which is killed at its limit: one that hangs costs its turn. Torch
and the standard library alone, Python 3.9.
The last line is {"here": [...], "pairs": [[one, other, seconds, refusal]]}.
"""

import json
import os
import subprocess
import sys
import time
from datetime import timedelta

import torch
import torch.distributed as dist

NUM_ELEMENTS = 16 << 20  # 64 MiB
TELL_S = 5.0


def turns(hosts):
    """All pairs, in turns in which nobody is in two."""
    ring = list(hosts) + [None] * (len(hosts) % 2)
    for _ in range(len(ring) - 1):
        both = [(ring[at], ring[-1 - at]) for at in range(len(ring) // 2)]
        yield [tuple(sorted(pair)) for pair in both if None not in pair]
        ring = [ring[0], ring[-1], *ring[1:-1]]


def open_store(options, is_first):
    limit = timedelta(seconds=options["begin_s"])
    return dist.TCPStore(options["host"], options["port"], None, is_first, limit, wait_for_workers=False)


def wait(store, key, number, limit_s):
    """Until so many have come to a point; whoever does not is waited for so long."""
    end = time.monotonic() + limit_s
    while store.add(key, 0) < number and time.monotonic() < end:
        time.sleep(0.05)


def main(options):
    index = options["index"]
    store = open_store(options, index == 0)
    store.add(f"here-{index}", 1)
    store.add("here", 1)
    if index == 0:
        wait(store, "here", options["num"], options["begin_s"])
        here = [one for one in range(options["num"]) if store.add(f"here-{one}", 0)]
        store.set("present", json.dumps(here))
    store.wait(["present"], timedelta(seconds=2 * options["begin_s"]))
    here, found = json.loads(store.get("present")), []
    for number, pairs in enumerate(turns(here) if index in here else ()):
        for pair in pairs:
            if index in pair:
                found.append([*pair, *tried(options, pair)])
        store.add(f"turn-{number}", 1)
        wait(store, f"turn-{number}", len(here), options["pair_s"] + TELL_S)
    store.set(f"found-{index}", json.dumps(found))
    store.add("told", 1)
    wait(store, "told", len(here), TELL_S)
    all_found = [
        one
        for host in here
        if store.check([f"found-{host}"])
        for one in json.loads(store.get(f"found-{host}"))
    ]
    store.add("over", 1)
    if index == 0:
        wait(store, "over", len(here), TELL_S)
    print(json.dumps({"here": here, "pairs": all_found}), flush=True)


def tried(options, pair):
    """Seconds of the collective, and why it did not work; empty where it did."""
    command = [sys.executable, os.path.abspath(__file__), json.dumps({**options, "pair": pair})]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=options["pair_s"], check=False)
        seconds, is_right = json.loads(done.stdout.strip().splitlines()[-1])
    except subprocess.TimeoutExpired:
        return None, f"no end within {options['pair_s']:g} s"
    except (IndexError, ValueError):
        return None, (done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1][:300]
    return seconds, "" if is_right else "wrong numbers"


def one(options):
    """A rank of a pair."""
    pair, is_cuda = options["pair"], options["device"] == "cuda" and torch.cuda.is_available()
    rank, store = pair.index(options["index"]), open_store(options, False)
    limit = timedelta(seconds=options["pair_s"])
    store = dist.PrefixStore("pair-{}-{}".format(*pair), store)
    dist.init_process_group(
        "nccl" if is_cuda else "gloo", store=store, rank=rank, world_size=2, timeout=limit
    )
    rows = torch.full((NUM_ELEMENTS,), rank + 1.0, device="cuda:0" if is_cuda else "cpu")
    begun = time.perf_counter()
    dist.all_reduce(rows)
    is_right = bool((rows == 3).all())
    seconds = time.perf_counter() - begun
    dist.barrier()
    print(json.dumps([seconds, is_right]), flush=True)
    os._exit(0)


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    one(given) if "pair" in given else main(given)

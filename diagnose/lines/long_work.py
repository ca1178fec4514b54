"""Bars of work that is legal and may outlast a watchdog: datasets, evaluation, loading.

A bar counts once it is five minutes old, or has ten to go.

>>> from diagnose.messages import said
>>> said("Running tokenizer on dataset:  61%|######    | 1220118/2000000 [30:02<19:20, 671.90 examples/s]", LINES)
('phase.bar_told', {'what': 'tokenizer', 'done': '1220118', 'total': '2000000', 'elapsed_s': 1802, 'left_s': 1160})
"""  # noqa: E501

import re
from collections.abc import Callable

from diagnose.messages import Data, line

EVENTS = {
    "phase.bar_told": "a progress bar of a long phase; data: what, done, total, elapsed_s, left_s",
}
DRAWN = (
    r"\d{1,3}%(?:\|[^|]{0,300}| Completed )\| *(?P<done>[\d.]{1,14}[kKMG]?)/(?P<total>[\d.]{1,14}[kKMG]?)"
    r" \[(?=\d{1,3}:\d\d:\d\d|(?:[1-9]\d|0[5-9]|[5-9]):\d\d<|[\d:]{4,9}<(?:\d{1,3}:\d\d:\d\d|[1-9]\d:))"
    r"(?P<elapsed>(?:\d{1,3}:)?\d{1,3}:\d\d)<(?P<left>(?:\d{1,3}:)?\d{1,3}:\d\d|\?)"
)
BAR = r"[^|]{0,120}?" + DRAWN
RATE = r", {1,3}[\d.]{1,14} ?[kMG]?"
UNITS = ("B/s]", "examples/s]", "files/s]", "docs/s]", "rows/s]", "lines/s]")  # of data: no step's
WORK = (
    *("tokeniz", "Tokeniz", "Map:", "Map (num_proc", "Filter:", "Filter (num_proc", "Generating", "Evaluat"),
    *("evaluat", "Validat", "validat", "checkpoint shards", "reprocess", "Packing", "Caching", "Extracting"),
    *("Scanning", "Multi-thread loading shards", "Capturing batches"),
    *("Converting", "Saving", "Downloading", "Computing", "Predict", "Inference", "Quantiz", ".safetensors"),
    *(
        "reparing",
        "Loading",
        "Building",
        "ncoding",
        "Indexing",
        "Processing",
        "Scoring",
        "Sampling",
        "Calibrat",
    ),
    *("Testing", "Sanity Checking", "enerating", "Rollout", "Decoding", "Merging", "Resolving data files"),
)
NAMES = {
    "tokeniz": "tokenizer",
    "Tokeniz": "tokenizer",
    "reprocess": "preprocessing",
    "checkpoint": "loading",
}


def seconds(clock: str) -> int:
    """
    >>> seconds("1:02:03"), seconds("30:02")
    (3723, 1802)
    """
    total = 0
    for part in clock.split(":"):
        total = 60 * total + int(part)
    return total


def bar(word: str) -> Callable[[re.Match[str]], Data]:
    what = re.sub(r"\W.*", "", word.lstrip(".")) or word

    def data(found: re.Match[str]) -> Data:
        left = found["left"]
        return {
            "what": NAMES.get(what, what),
            "done": found["done"],
            "total": found["total"],
            "elapsed_s": seconds(found["elapsed"]),
            "left_s": seconds(left) if left != "?" else None,
        }

    return data


LINES = (
    *(line("phase.bar_told", word, re.escape(word) + BAR, data=bar(word)) for word in WORK),
    *(line("phase.bar_told", unit, DRAWN + RATE + re.escape(unit), data=bar("reading")) for unit in UNITS),
)

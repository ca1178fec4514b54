"""How many files lie where the job reads and writes: volumes have limits that no free space tells."""

import json
import os
import time

from probes import deadline
from probes.checking import file_systems, places
from probes.checking.check import Check, Measurement, Target, measured, skipped

CHECK = Check("default", 30.0, told_by="file_systems_answer", shares=file_systems.answers)
BOX_S, LIMIT_S, MOST = 3.0, 5.0, 3
NUM_FILES = 600_000


def measure(target: Target) -> list[Measurement]:
    paths, found = file_systems.answering(target.folders[:MOST], target)
    found += [of(path, places.platform(target.environ)) for path in paths if os.path.isdir(path)]
    return found or [skipped("folders", "files", "nobody said where the job reads and writes (--path)")]


def of(path: str, platform: str) -> Measurement:
    told = deadline.call(lambda: json.dumps(count(path)).encode(), LIMIT_S)
    if told is None:
        return skipped(path, f"files below {path}", f"no answer within {LIMIT_S:g} s")
    num, most, is_whole = json.loads(told)
    return measured(
        path,
        f"files below {path}",
        num_files=num,
        most_in_a_folder=most,
        is_whole=is_whole,  # else there are at least so many
        is_modal=platform == "modal",
    )


def count(path: str) -> tuple[int, int, bool]:
    """(files, the most in one folder, were all seen?), within a time box."""
    num, most, end = 0, 0, time.monotonic() + BOX_S
    for _, folders, files in os.walk(path):
        num, most = num + len(files) + len(folders), max(most, len(files) + len(folders))
        if num > NUM_FILES or time.monotonic() > end:
            return num, most, False
    return num, most, True

"""Which file systems answer: each is asked once, in a child that may hang, for all who would touch it."""

import os
import time
from collections.abc import Iterable
from functools import partial
from typing import NamedTuple

from probes import deadline, disks, procfs
from probes.checking.check import Measurement, Target, skipped

LIMIT_S = 3.0  # for all of them
MOST = 32
SEE_F08 = "it does not answer, see F08"


class Answer(NamedTuple):
    took_s: float
    refusal: str  # empty where there is none


_answers: dict[tuple[str, ...], dict[str, Answer | None]] = {}


def answers(target: Target) -> dict[str, Answer | None]:
    """Of the folders of the job and of file systems of a network, by path; None: no answer in time."""
    mounts = disks.parse_mounts(procfs.read("/proc/self/mountinfo") or b"")
    remote = [one.point for one in mounts if one.is_remote]
    paths = tuple(dict.fromkeys([*target.folders, *remote, "/tmp"]))[:MOST]
    if paths not in _answers:
        told = deadline.call_many({path: partial(look, path) for path in paths}, LIMIT_S)
        _answers[paths] = {path: None if one is None else answer(one) for path, one in told.items()}
    return _answers[paths]


def look(path: str) -> bytes:
    begun, refusal = time.monotonic(), ""
    try:
        os.stat(path)
        os.listdir(path) if os.path.isdir(path) else None
    except OSError as error:
        refusal = error.strerror or str(error)
    return f"{time.monotonic() - begun:.3f} {refusal}".encode()


def answer(told: bytes) -> Answer:
    took, _, refusal = told.decode().partition(" ")
    return Answer(float(took), refusal)


def answering(paths: Iterable[str], target: Target) -> tuple[list[str], list[Measurement]]:
    """Those that can be touched; and of each other one why nothing is measured there."""
    silent = [os.path.abspath(path).rstrip("/") for path, told in answers(target).items() if told is None]
    given = list(paths)
    held = [
        path for path in given if any(f"{os.path.abspath(path)}/".startswith(f"{one}/") for one in silent)
    ]
    left = [skipped(path, f"stat({path}) in a child", SEE_F08) for path in dict.fromkeys(held)]
    return [path for path in given if path not in held], left

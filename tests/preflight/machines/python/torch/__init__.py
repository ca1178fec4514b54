"""Stands for torch on a recorded machine: says of CUDA what the JSON file $FAKE_TORCH says."""

import json
import os
from functools import cache
from pathlib import Path
from types import SimpleNamespace


@cache
def said():
    return json.loads(Path(os.environ["FAKE_TORCH"]).read_text())


def __getattr__(name):
    if name not in {"__version__", "version"}:
        raise AttributeError(name)
    return said()["version"] if name == "__version__" else SimpleNamespace(cuda=said()["cuda"])


def start():
    if said()["error"]:
        raise RuntimeError(said()["error"])


def properties(num):
    major, minor = said()["capability"]
    return SimpleNamespace(**said()["devices"][num], major=major, minor=minor, total_memory=1 << 36)


cuda = SimpleNamespace(
    init=start,
    get_arch_list=lambda: said()["architectures"],
    device_count=lambda: len(said()["devices"]),
    get_device_properties=properties,
    can_device_access_peer=lambda one, other: [one, other] not in said()["no_access"],
)

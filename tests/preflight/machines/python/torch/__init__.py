"""Stands for torch on a recorded machine: says of CUDA what the JSON file $FAKE_TORCH says."""

import json
import os
from pathlib import Path
from types import SimpleNamespace

_said = json.loads(Path(os.environ["FAKE_TORCH"]).read_text())
__version__ = _said["version"]
version = SimpleNamespace(cuda=_said["cuda"])


def _init():
    if _said["error"]:
        raise RuntimeError(_said["error"])


def _properties(num):
    major, minor = _said["capability"]
    return SimpleNamespace(**_said["devices"][num], major=major, minor=minor, total_memory=1 << 36)


cuda = SimpleNamespace(
    init=_init,
    get_arch_list=lambda: _said["architectures"],
    device_count=lambda: len(_said["devices"]),
    get_device_properties=_properties,
    can_device_access_peer=lambda one, other: [one, other] not in _said["no_access"],
)

"""What connects GPUs: NVLinks of each; for every two the way over PCIe, and what one may do to the other."""

from types import ModuleType
from typing import Any

from probes.nvml.answering import maybe

MOST_LINKS = 18  # of one GPU, as NVML numbers them (NVML_NVLINK_MAX_LINKS)
LEVELS = {
    0: "same board",
    10: "PIX",
    20: "PXB",
    30: "PHB",
    40: "NODE",
    50: "SYS",
}  # as `nvidia-smi topo -m` has them
P2P = (
    "ok",
    "chipset not supported",
    "gpu not supported",
    "topology not supported",
    "disabled by regkey",
    "not supported",
)
P2P_KINDS = {"read": 0, "write": 1, "nvlink": 2, "atomics": 3}


def bus_id(info: Any) -> str:
    """As NVML writes it, in lower case: `00000000:53:00.0`."""
    return (info.busId.decode() if isinstance(info.busId, bytes) else info.busId).lower()


def links(n: ModuleType, handle: Any, _: int) -> dict[str, Any]:
    """State of every NVLink (1: active), and what is at its other end (0: a GPU, 2: a switch)."""
    states = {link: maybe(n.nvmlDeviceGetNvLinkState, handle, link) for link in range(MOST_LINKS)}
    there = {link: state for link, state in states.items() if state is not None}
    if not there:
        n.nvmlDeviceGetNvLinkState(handle, 0)  # says why there are none

    def peer(link: int) -> str:
        found = maybe(n.nvmlDeviceGetNvLinkRemotePciInfo, handle, link)
        return bus_id(found) if found else ""

    kinds = {link: maybe(n.nvmlDeviceGetNvLinkRemoteDeviceType, handle, link) for link in there}
    return {
        "down": [link for link, state in there.items() if not state],
        "num_active": sum(map(bool, there.values())),
        "num_switched": sum(kind == 2 for kind in kinds.values()),
        "peers": [peer(link) for link, kind in kinds.items() if kind == 0 and there[link]],
    }


def pairs(n: ModuleType, handle: Any, index: int) -> list[dict[str, Any]]:
    """This GPU against each one after it."""
    found = []
    for other in range(index + 1, n.nvmlDeviceGetCount()):
        to = n.nvmlDeviceGetHandleByIndex(other)
        level = maybe(n.nvmlDeviceGetTopologyCommonAncestor, handle, to)
        status = {name: maybe(n.nvmlDeviceGetP2PStatus, handle, to, kind) for name, kind in P2P_KINDS.items()}
        words = {
            name: None if code is None else dict(enumerate(P2P)).get(code, str(code))
            for name, code in status.items()
        }
        found.append({"to": other, "level": LEVELS.get(level, level), **words})
    return found

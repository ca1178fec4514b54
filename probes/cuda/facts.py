"""Run by the job's interpreter: what its torch, and the CUDA driver below it, say, as one JSON object."""

import ctypes
import json
from typing import Any

MULTICAST = 132  # CU_DEVICE_ATTRIBUTE_MULTICAST_SUPPORTED


def main() -> None:
    said: dict[str, Any] = {"devices": [], "peers": [], "error": ""}
    try:
        import torch
    except Exception as error:  # a broken wheel raises OSError too
        said["error"] = f"{type(error).__name__}: {error}"[:500]
        print(json.dumps(said))
        return
    said.update(torch=torch.__version__, cuda=torch.version.cuda, architectures=torch.cuda.get_arch_list())
    try:
        torch.cuda.init()
        count = torch.cuda.device_count()
        said["devices"] = [device(torch.cuda.get_device_properties(num), num) for num in range(count)]
        said["peers"] = [
            [one, other, torch.cuda.can_device_access_peer(one, other)]
            for one in range(count)
            for other in range(count)
            if one != other
        ]
    except Exception as error:
        said["error"] = f"{type(error).__name__}: {error}"[:500]
    said["libraries"] = libraries()
    print(json.dumps(said))


def device(found: Any, num: int) -> dict[str, Any]:
    return {
        "name": found.name,
        "uuid": str(getattr(found, "uuid", "")),
        "major": found.major,
        "minor": found.minor,
        "total_bytes": found.total_memory,
        "has_multicast": attribute(MULTICAST, num),
    }


def attribute(which: int, num: int) -> "bool | None":
    """One attribute of a device, of the driver itself: None where it does not know it."""
    value, handle = ctypes.c_int(), ctypes.c_int()
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    if cuda.cuInit(0) or cuda.cuDeviceGet(ctypes.byref(handle), num):
        return None
    return None if cuda.cuDeviceGetAttribute(ctypes.byref(value), which, handle) else bool(value.value)


def libraries() -> "list[str]":
    """Where the CUDA driver's library was loaded from."""
    try:
        with open("/proc/self/maps") as file:
            paths = {line.split()[-1] for line in file if "/libcuda.so" in line}
    except OSError:
        return []
    return sorted(paths)


if __name__ == "__main__":
    main()

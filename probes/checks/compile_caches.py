"""Where compile caches lie, whether they can be written, and whether a lock was left in them."""

from probes.checking import caches
from probes.checking.check import Check, Measurement, Target, measured

CHECK = Check(limit_s=20.0)


def measure(target: Target) -> list[Measurement]:
    found = []
    for name, path in caches.folders(target.environ).items():
        seen = caches.look(path)
        found.append(
            measured(
                name,
                path,
                is_answered=seen is not None,
                can_write=seen["can_write"] if seen else None,
                is_remote=caches.is_remote(path) if seen else None,
                num_files=seen["num_files"] if seen else None,
                size_bytes=seen["size_bytes"] if seen else None,
                oldest_lock_s=round(seen["oldest_lock_s"]) if seen and seen["oldest_lock_s"] else None,
            )
        )
    return found

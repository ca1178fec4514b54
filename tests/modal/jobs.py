"""Functions that the tests launch: what Modal's runtime imports in the container."""

import os
import time
from typing import Any


def answer(spec: dict[str, Any]) -> dict[str, Any]:
    return {"spec": spec, "task": os.environ["MODAL_TASK_ID"]}


def writes(spec: dict[str, Any]) -> dict[str, Any]:
    """Puts a file of several blocks on a volume, and waits to be ended."""
    import io

    import modal

    volume = modal.Volume.from_name(spec["volume"])
    with volume.batch_upload(force=True) as batch:
        batch.put_file(io.BytesIO(b"x" * spec["size"]), spec["path"])
        batch.put_file(io.BytesIO(b"y"), "/gone/by/now.bin")
    volume.remove_file("/gone/by", recursive=True)
    end = time.monotonic() + spec.get("seconds", 0)
    while time.monotonic() < end:
        time.sleep(0.05)
    return {"status": "ok"}


def own(spec: dict[str, Any]) -> str:
    """A function of somebody's own, with the library form of ours in it."""
    from diagnose.surfaces.modal import body

    body.run(spec["command"], "diagnose", "their-run", push_s=1)
    return "their result"


def holding(spec: dict[str, Any]) -> str:
    """The same, and beside it work in C that does not give the interpreter away."""
    import ctypes
    import threading

    threading.Timer(spec["after_s"], ctypes.PyDLL(None).sleep, [1000]).start()
    return own(spec)

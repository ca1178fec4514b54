"""What processes without RANK say by their own frames: spawned by torch, and as which; or a loader's worker.

The number stands only in a local variable of torch's own `_wrap`. Locals may hold secrets: all but this one
number are dropped as soon as they are read, and nothing of them is written.
"""

import json
from collections.abc import Sequence

from probes import deadline, stacks
from probes.finding.jobs import Told

_LIMIT_S = 3.0
_MOST = 256  # processes that are asked


def tell(pids: Sequence[int]) -> dict[int, Told]:
    """py-spy on all of them at once, never pausing one; those that give no stack are left out."""
    py_spy = stacks.find_py_spy()
    if py_spy is None or not pids:
        return {}
    commands = {pid: [*stacks.py_spy_argv(py_spy, pid), "--locals"] for pid in pids[:_MOST]}
    return {
        pid: said
        for pid, outcome in deadline.run_many(commands, _LIMIT_S).items()
        if (said := parse(outcome.stdout)) is not None
    }


def parse(raw: bytes) -> Told | None:
    """The main thread's word; None where there is no stack.

    >>> frame = {"name": "_wrap", "filename": "/v/torch/multiprocessing/spawn.py", "locals": [
    ...     {"name": "args", "repr": "(...)"}, {"name": "i", "repr": "3"}]}
    >>> parse(json.dumps([{"thread_name": "MainThread", "frames": [frame]}]).encode())
    Told(is_rank=True, is_worker=False, number=3)
    """
    try:
        threads = json.loads(raw)
        main = next((t for t in threads if t.get("thread_name") == "MainThread"), threads[0])
        frames = main.get("frames") or []
    except (ValueError, LookupError, AttributeError, TypeError):
        return None
    is_worker = any(
        frame.get("name") == "_worker_loop"
        or str(frame.get("filename")).endswith("compile_worker/__main__.py")
        for frame in frames
    )
    for frame in frames:
        if frame.get("name") == "_wrap" and str(frame.get("filename")).endswith(
            "torch/multiprocessing/spawn.py"
        ):
            number = next((v.get("repr") for v in frame.get("locals") or () if v.get("name") == "i"), "")
            return Told(True, is_worker, int(number) if str(number).isdigit() else None)
    return Told(False, is_worker, None)

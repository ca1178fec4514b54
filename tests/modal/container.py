"""Starts the runtime that Modal starts in a container, here: `python -m modal._container_entrypoint`.

Neither image, nor mounts, nor GPUs are emulated: the function runs in this Python environment. And a
container that has nothing of ours, but two ranks that are stuck.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from diagnose.ground import carriers

BARE, PYTHON = {"PATH": "/usr/bin:/bin"}, "/usr/bin/python3"
STUCK = """
import threading
print("step 7", flush=True)
lock = threading.Lock()
lock.acquire()
lock.acquire()
"""
OURS = ("MODAL_", "DIAGNOSE_", "PYTEST_")


async def start(
    arguments: bytes,
    task: str,
    folder: Path,
    socket: str,
    env: Mapping[str, str],
    module: str = "modal._container_entrypoint",
) -> asyncio.subprocess.Process:
    """A container named `task` that runs what `arguments` say; its output goes to `folder`/output.txt.

    `folder` becomes its temporary folder too. It finds our modules where the tests do.
    """
    (folder / "t").mkdir(parents=True)
    path = folder / "arguments.bin"
    path.write_bytes(arguments)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    top = str(Path(__file__).parents[2])
    environ = {
        **kept,
        "PYTHONPATH": os.pathsep.join(part for part in (top, kept.get("PYTHONPATH", "")) if part),
        "TMPDIR": str(folder / "t"),
        "MODAL_SERVER_URL": f"unix://{socket}",
        "MODAL_IS_REMOTE": "1",
        "MODAL_TASK_ID": task,
        "MODAL_CONTAINER_ARGUMENTS_PATH": str(path),
        "MODAL_CONFIG_PATH": str(folder / "no-modal.toml"),
        "MODAL_REGION": "loopback",
        "MODAL_CLOUD_PROVIDER": "CLOUD_PROVIDER_LOOPBACK",
        "MODAL_HEARTBEAT_INTERVAL": "1",
        **env,
    }
    with (folder / "output.txt").open("wb") as output:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module),
            cwd=folder,
            env=environ,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def end(folder: Path) -> list[int]:
    """Kill all that runs in the container at once, as a host ends a sandbox; the processes that were."""
    pids = carriers(folder / "t")
    for pid in pids:
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    return pids


@contextmanager
def stuck(folder: Path) -> Iterator[tuple[Path, list[int]]]:
    """Two ranks of a plain Python that stand still: (the container's folder, their process ids)."""
    (folder / "t").mkdir(parents=True)
    (folder / "train.py").write_text(STUCK)
    ranks = []
    for rank in range(2):
        env = {**BARE, "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
        with (folder / f"rank-{rank}.txt").open("wb") as log:
            ranks.append(subprocess.Popen([PYTHON, "train.py"], cwd=folder, env=env, stdout=log, stderr=log))
    try:
        end_at = time.monotonic() + 60
        while not all((folder / f"rank-{rank}.txt").stat().st_size for rank in range(2)):
            assert time.monotonic() < end_at, "they did not start"
            time.sleep(0.02)
        yield folder, [one.pid for one in ranks]
    finally:
        for one in ranks:
            one.kill()
            one.wait()

"""Starting ranks without a launcher's help, as job scripts do: one process each, told by its environment."""

import math
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence


def free_port() -> int:
    """A TCP port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
        return port


def start(
    rank: int, num_ranks: int, port: int, address: str = "127.0.0.1", inside: Sequence[str] = ()
) -> subprocess.Popen[bytes]:
    """Start one rank of this program; `inside` is a command that runs it somewhere else."""
    told = {"RANK": rank, "WORLD_SIZE": num_ranks, "MASTER_ADDR": address, "MASTER_PORT": port}
    env = {**os.environ, **{name: str(value) for name, value in told.items()}}
    return subprocess.Popen([*inside, sys.executable, sys.argv[0]], env=env)


def wait(processes: Sequence[subprocess.Popen[bytes]], grace_s: float = 4.0) -> None:
    """Wait for all of them; once one has failed, the others have `grace_s`. Exit as the worst of them."""
    end = math.inf
    while any(process.poll() is None for process in processes):
        if any(process.poll() for process in processes):
            end = min(end, time.monotonic() + grace_s)
        if time.monotonic() > end:
            for process in processes:
                process.terminate()
        time.sleep(0.1)
    sys.exit(1 if any(process.returncode for process in processes) else 0)

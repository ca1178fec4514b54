"""Take the samples anew from real ranks: `python tests/sources/take.py OUT`. Its names are replaced.

The samples under `*/samples/` were chosen from what this writes; run it to see a newer torch's words.
"""

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

RANKS = Path(__file__).with_name("ranks.py")
WAYS = ("raise", "kill", "exit", "late", "mismatch")


def scrub(data: bytes, work: str) -> bytes:
    """The same bytes without this machine's folders and name. Text only: a pickle's strings have a length."""
    for old, new in (
        (sys.prefix.encode(), b"/opt/venv"),
        (sys.base_prefix.encode(), b"/usr/local"),
        (str(RANKS.parent).encode(), b"/app"),
        (work.encode(), b"/out"),
        (socket.gethostname().encode(), b"host-a"),
    ):
        data = data.replace(old, new)
    return data


def take(out: Path) -> None:
    for way in WAYS:
        for launcher in ("torchrun", "spawn"):
            folder = out / f"{launcher}-{way}"
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory() as work:
                run(launcher, way, folder, Path(work))


def run(launcher: str, way: str, folder: Path, work: Path) -> None:
    logs = ["--tee", "3", "--log-dir", str(work / "logs"), "--nproc-per-node", "2"]
    start = {
        "torchrun": ["-m", "torch.distributed.run", "--master-port", "29533", *logs],
        "spawn": [],
    }[launcher]
    done = subprocess.run(
        [sys.executable, *start, str(RANKS), way, str(work)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        timeout=120,
    )
    (folder / "launcher.log").write_bytes(scrub(done.stdout, str(work)))
    for path in work.rglob("*"):
        if path.is_file():
            parts = path.relative_to(work).parts
            name = f"{parts[-2]}-{parts[-1]}" if parts[0] == "logs" else parts[-1]
            data = path.read_bytes()
            (folder / name).write_bytes(data if path.suffix == ".pickle" else scrub(data, str(work)))


if __name__ == "__main__":
    take(Path(sys.argv[1]))

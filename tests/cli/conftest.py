"""`diagnose` as people start it: a process of its own, in an empty folder."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from diagnose.ground import carriers, sweep

DIAGNOSE = [sys.executable, "-P", "-m", "diagnose"]
OUTER = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "DIAGNOSE_ROOT", "NO_COLOR")


def ours(stderr: bytes) -> list[str]:
    """The lines that are our own."""
    return [line for line in stderr.decode().splitlines() if line.startswith("diagnose: ")]


class Place:
    """An empty folder to run in; everything that was started there is ended with it."""

    def __init__(self, path: Path) -> None:
        self.path, self.root = path, path / "runs"
        self.temporary = path / "t"
        self.temporary.mkdir()
        kept = {key: value for key, value in os.environ.items() if key not in OUTER}
        self.started: list[subprocess.Popen[bytes]] = []
        self.environ = {**kept, "TMPDIR": str(self.temporary), "OMP_NUM_THREADS": "1"}

    def start(self, *words: str, **given: Any) -> subprocess.Popen[bytes]:
        """Start `diagnose WORDS`; stdin is empty, output goes to pipes."""
        pipe = subprocess.PIPE
        options: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": pipe, "stderr": pipe, **given}
        process = subprocess.Popen([*DIAGNOSE, *words], cwd=self.path, env=self.environ, **options)
        self.started.append(process)
        return process

    def run(self, *words: str, **given: Any) -> subprocess.CompletedProcess[bytes]:
        """Run `diagnose WORDS` to its end."""
        process = self.start(*words, **given)
        out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def program(self, text: str) -> list[str]:
        """A Python program as a command."""
        (self.path / "job.py").write_text(text)
        return [sys.executable, "job.py"]

    @property
    def folder(self) -> Path:
        """The one run directory."""
        (found,) = self.root.iterdir()
        return found

    def record(self) -> Any:
        return msgspec.json.decode((self.folder / "record.json").read_bytes())

    def processes(self, *words: bytes) -> list[int]:
        """Everything that was started here and still lives; of it, what says one of the words."""

        def says(pid: int) -> bool:
            with suppress(OSError):  # it ended meanwhile
                line = Path(f"/proc/{pid}/cmdline").read_bytes()
                return any(word in line for word in words)
            return False

        return [pid for pid in carriers(self.temporary) if not words or says(pid)]


@pytest.fixture
def place() -> Iterator[Place]:
    """Its path is short, however many workers test: sockets live below it."""
    path = Path(tempfile.mkdtemp(prefix="dp-"))
    here = Place(path)
    yield here
    sweep(here.temporary, 0)
    for process in here.started:
        with process:  # closes its pipes
            process.kill()
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def wait() -> Callable[..., None]:
    """Wait until something is so; fail after a minute."""

    def until(is_so: Callable[[], object], what: str = "") -> None:
        end = time.monotonic() + 60
        while not is_so():
            assert time.monotonic() < end, what or "it never came to be"
            time.sleep(0.05)

    return until

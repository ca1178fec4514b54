"""The `plane` fixture: Modal's control plane on loopback, and how it is spoken to. The client is real."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from diagnose import manifest

TOP = Path(__file__).parents[2]
OUTER = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "DIAGNOSE_ROOT", "NO_COLOR")


class Plane:
    """A plane in a process of its own; each method named like one of its verbs asks it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.errors = (folder / "errors.txt").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.modal.plane", "--dir", str(folder / "plane")],
            cwd=TOP,
            stdout=subprocess.PIPE,
            stderr=self.errors,
        )
        assert self.process.stdout
        told = json.loads(self.process.stdout.readline() or b"null")
        assert told, (folder / "errors.txt").read_text()
        self.server, self.control = told["server"], told["control"]

    def ask(self, verb: str, **given: Any) -> Any:
        data = json.dumps(given).encode()
        with urllib.request.urlopen(f"{self.control}/{verb}", data, timeout=100) as answer:
            return json.loads(answer.read())

    def environ(self, **more: str) -> dict[str, str]:
        """What a launcher or a collector needs to speak to it."""
        kept = {k: v for k, v in os.environ.items() if k not in OUTER and not k.startswith("MODAL_")}
        own = {
            "MODAL_SERVER_URL": self.server,
            "MODAL_TOKEN_ID": "ak-1",
            "MODAL_TOKEN_SECRET": "as-1",
            "MODAL_CONFIG_PATH": str(self.folder / "no-modal.toml"),
            "PYTHONPATH": os.pathsep.join(p for p in (str(TOP), kept.get("PYTHONPATH", "")) if p),
        }
        return {**kept, **own, **more}

    def python(self, text: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a program against it, to its end."""
        return subprocess.run(
            [sys.executable, "-c", text, *words],
            cwd=self.folder,
            env=self.environ(),
            capture_output=True,
            text=True,
            timeout=120,
        )

    def call(self, id: str) -> Any:
        return self.ask("tell")["calls"][id]

    def close(self) -> None:
        self.process.terminate()
        with self.process:
            self.process.wait(60)
        self.errors.close()


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    folder = tmp_path_factory.mktemp("modal")
    found = Plane(folder)
    yield found
    found.close()


@pytest.fixture
def wait() -> Callable[..., None]:
    """Wait until something is so; fail after `seconds`."""

    def until(is_so: Callable[[], object], what: str = "", seconds: float = 120) -> None:
        end = time.monotonic() + seconds
        while not is_so():
            assert time.monotonic() < end, what or "it never came to be"
            time.sleep(0.1)

    return until


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run that was launched, and is looked after by nobody yet."""
    run = tmp_path / "r-1"
    run.mkdir()
    manifest.begin(run, id="r-1", surface="modal", volume="diagnose")
    manifest.advance(run, "detached", function_call_id="fc-7")
    return run

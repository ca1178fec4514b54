"""The `ranks` fixture starts real torch.distributed jobs, with a time limit, and leaves nothing behind."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from diagnose.ground import finish, sweep

collect_ignore = ["bench", "drills/attach.py", "drills/big_log.py", "drills/kills.py"]  # scripts
settings.register_profile(  # a busy machine is no failure
    "untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("untimed")
OUTER = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Ended:
    """How a job ended: its code (None: the time limit), and all that it printed."""

    code: int | None
    text: str


Start = Callable[..., Ended]


@pytest.fixture
def ranks(tmp_path: Path) -> Iterator[Start]:
    """`ranks(program, num_ranks=2, timeout_s=60, env={}, under=())`: run a program's text under torchrun.

    `under` is put before the launcher's command, such as `(sys.executable, "-m", "diagnose", "run", "--")`.
    """
    pytest.importorskip("torch", reason="torch is not installed")
    mark = tmp_path / "t"
    mark.mkdir()

    def start(
        program: str,
        num_ranks: int = 2,
        timeout_s: float = 60,
        env: Mapping[str, str] | None = None,
        under: tuple[str, ...] = (),
    ) -> Ended:
        (tmp_path / "train.py").write_text(program)
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        kept = {key: value for key, value in os.environ.items() if key not in OUTER}
        log = tmp_path / "output.txt"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*under, *launcher, "--nproc-per-node", str(num_ranks), "train.py"],
                cwd=tmp_path,
                env={**kept, "OMP_NUM_THREADS": "1", "TMPDIR": str(mark), **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            ended = finish(process, timeout_s)
        return Ended(process.returncode if ended else None, log.read_text(errors="replace"))

    yield start
    sweep(mark, 0)

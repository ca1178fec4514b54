"""`diagnose compare` and `runs --changed-since` on real runs that differ in one planted thing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from diagnose.cli.compare import command as compare
from diagnose.cli.runs import command as runs

JOB = """
import os, sys, time
import probes
probes.note(dataset=os.environ.get("JOB_DATASET", "a"))
for name in filter(None, os.environ.get("JOB_IMPORTS", "").split(",")):
    __import__(name)
for _ in range(5):
    time.sleep(float(os.environ.get("JOB_STEP_S", "0.01")))
    probes.step()
"""
SPAWN = """
import os, subprocess, sys
num = int(sys.argv[sys.argv.index("--nproc") + 1])
jobs = [
    subprocess.Popen([sys.executable, "job.py"], env={**os.environ, "RANK": str(n), "WORLD_SIZE": str(num)})
    for n in range(num)
]
sys.exit(max(job.wait() for job in jobs))
"""
HOME = str(Path(__file__).parents[2])


class Pair:
    """Two runs in one place, and what is said of them."""

    def __init__(self, place):
        self.place = place
        (place.path / "job.py").write_text(JOB)
        (place.path / "spawn.py").write_text(SPAWN)
        place.environ |= {"RANK": "0", "WORLD_SIZE": "1", "PYTHONPATH": f"{HOME}{os.pathsep}{place.path}"}

    def run(self, name, *words, options=(), **environ):
        """A real run; the command's words after `python`."""
        kept = dict(self.place.environ)
        self.place.environ |= environ
        options = ("--root", "runs", "--name", name, *options)
        ended = self.place.run("run", *options, "--", sys.executable, *(words or ("job.py", "--lr", "0.1")))
        self.place.environ = kept
        assert ended.returncode == 0, ended.stderr.decode()

    def compare(self, *options, names=("good", "bad")):
        done = CliRunner().invoke(compare, [*names, "--root", str(self.place.root), *options])
        return done.exit_code, done.output

    def told(self, **given):
        code, text = self.compare("--format", "json", **given)
        return code, msgspec.json.decode(text)


@pytest.fixture
def pair(place):
    return Pair(place)


def test_two_runs_and_a_third_that_is_like_the_first(pair):
    pair.run("good")
    pair.run("same", "job.py", "--lr=1e-1")
    pair.run("bad", "job.py", "--lr", "0.2", NCCL_DEBUG="INFO")
    code, told = pair.told(names=("good", "same"))
    assert (told["differences"], told["comparable"], told["measurable"]) == ([], True, True)
    assert code == any(f["differs"] for f in told["figures"])  # a busy machine may slow one down
    assert told["a"]["is_receipt"] and {f["path"] for f in told["figures"]} >= {"steps.median_s"}
    code, told = pair.told()
    assert (code, [d["path"] for d in told["differences"]]) == (1, ["variables.NCCL_DEBUG", "arguments.--lr"])
    assert {one.get("before") for one in told["differences"]} == {"not set", "0.1"}
    code, text = pair.compare()
    assert code == 1 and "2 DIFFERENCES" in text and "flag --lr: 0.1 > 0.2" in text
    top = ["--root", str(pair.place.root)]
    for field, expected in {"env.NCCL_DEBUG": 1, "image": 3, "versions.python": 0, "nonsense": 2}.items():
        done = CliRunner().invoke(runs, [*top, "--changed-since", "good", "--field", field])
        assert done.exit_code == expected, (field, done.output)
        assert field != "env.NCCL_DEBUG" or ("bad-" in done.output and "same-" not in done.output)
    assert CliRunner().invoke(compare, ["good", "nowhere", *top]).exit_code != 0


def git(*words):
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    subprocess.run(["git", *who, *words], check=True, capture_output=True)


def checkout(pair):
    git("init", "-q", str(pair.place.path))
    (pair.place.path / ".gitignore").write_text("*\n!job.py\n")
    git("-C", str(pair.place.path), "add", "job.py")
    git("-C", str(pair.place.path), "commit", "-qm", "first")


def package(name, version):
    def plant(pair):
        (pair.place.path / f"{name}.py").write_text(f"__version__ = {version!r}\n")
        shutil.rmtree(pair.place.path / "__pycache__", ignore_errors=True)

    return plant


def commit(pair):
    dirty(pair)
    git("-C", str(pair.place.path), "commit", "-qam", "second")


def dirty(pair):
    (pair.place.path / "job.py").write_text(JOB + "# changed\n")


def cache(num):
    def plant(pair):
        folder = pair.place.path / "cache"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for n in range(num):
            (folder / f"{n}.py").write_text("x" * 1000)

    return plant


LONG = {"JOB_STEP_S": "0.8"}  # the agent has to see it
# name -> before the first, before the second, (words, environment) of each, the first path that is told.
DEFAULT = (("job.py", "--lr", "0.1"), {})


def env(**environ):
    return (DEFAULT[0], environ)


def flags(*words):
    return (("job.py", *words), {})


def importing(*names, **more):
    return env(JOB_IMPORTS=",".join(names), **more)


CACHED = env(TORCHINDUCTOR_CACHE_DIR="cache", **LONG)
KINDS = {
    "image": (None, None, env(IMAGE_DIGEST="sha256:aa"), env(IMAGE_DIGEST="sha256:bb"), "image"),
    "triton": (
        *(package("triton", "3.3.0"), package("triton", "3.4.0")),
        *(importing("triton"), importing("triton"), "versions.triton"),
    ),
    "package": (
        *(package("flash_attn", "2.7.4"), package("flash_attn", "2.8.0")),
        *(importing("flash_attn"), importing("flash_attn"), "packages.flash_attn"),
    ),
    "gpus visible": (
        *(None, None, env(CUDA_VISIBLE_DEVICES="0,1"), env(CUDA_VISIBLE_DEVICES="0")),
        "gpus.visible",
    ),
    "ranks": (
        None,
        None,
        (("spawn.py", "--nproc", "2"), {}),
        (("spawn.py", "--nproc", "3"), {}),
        "distributed.world_size",
    ),
    "one rank": (
        None,
        None,
        (("spawn.py", "--nproc", "1"), {}),
        (("spawn.py", "--nproc", "2"), {}),
        "distributed.mode",
    ),
    "debug detail": (
        None,
        None,
        DEFAULT,
        env(TORCH_DISTRIBUTED_DEBUG="DETAIL"),
        "variables.TORCH_DISTRIBUTED_DEBUG",
    ),
    "heartbeat": (
        *(None, None, env(TORCH_NCCL_HEARTBEAT_TIMEOUT_SEC="7200"), DEFAULT),
        "variables.TORCH_NCCL_HEARTBEAT_TIMEOUT_SEC",
    ),
    "network": (None, None, DEFAULT, env(NCCL_IB_DISABLE="1"), "variables.NCCL_IB_DISABLE"),
    "algorithm": (None, None, env(NCCL_ALGO="Ring"), env(NCCL_ALGO="Tree"), "variables.NCCL_ALGO"),
    "allocator": (
        *(None, None, DEFAULT, env(PYTORCH_CUDA_ALLOC_CONF="expandable_segments:True")),
        "variables.PYTORCH_CUDA_ALLOC_CONF",
    ),
    "autotune": (
        *(None, None, DEFAULT, env(TORCHINDUCTOR_MAX_AUTOTUNE="1")),
        "variables.TORCHINDUCTOR_MAX_AUTOTUNE",
    ),
    "threads": (None, None, env(OMP_NUM_THREADS="1"), env(OMP_NUM_THREADS="8"), "variables.OMP_NUM_THREADS"),
    "libraries": (None, None, DEFAULT, env(LD_LIBRARY_PATH="/opt/other"), "variables.LD_LIBRARY_PATH"),
    "cold cache": (cache(40), cache(0), CACHED, CACHED, "compile.cache_start.files"),
    "flag": (None, None, DEFAULT, flags("--lr", "0.2"), "arguments.--lr"),
    "flag more": (None, None, DEFAULT, flags("--lr", "0.1", "--compile"), "arguments.--compile"),
    "setting": (None, None, flags("opt.lr=1"), flags("opt.lr=2"), "arguments.opt.lr"),
    "data": (None, None, flags("--data", "a"), flags("--data=b"), "arguments.--data"),
    "note": (None, None, DEFAULT, env(JOB_DATASET="b"), "notes.dataset"),
    "commit": (checkout, commit, DEFAULT, DEFAULT, "git.commit"),
    "dirty tree": (checkout, dirty, DEFAULT, DEFAULT, "git.dirty"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_of_two_real_runs_the_one_planted_thing_comes_first(pair, kind):
    before, after, one, other, path = KINDS[kind]
    for name, plant, (words, environ) in (("good", before, one), ("bad", after, other)):
        if plant:
            plant(pair)
        pair.run(name, *words, **environ)
    code, told = pair.told()
    assert (code, told["differences"][0]["path"]) == (1, path), told

"""Which Python a command runs, and the torch that it would import: from files, nothing is imported."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

# Commands that run the command behind them.
WRAPPERS = {"env", "nice", "ionice", "nohup", "setsid", "stdbuf", "taskset", "numactl", "time", "timeout"}
PYTHON = re.compile(r"python(?:3(?:\.\d{1,2})?t?)?")
SHEBANG = re.compile(rb"#!\s{0,8}(\S{1,500})(?:[ \t]{1,8}(\S{1,500}))?")
LONG = re.compile(rb"#!/bin/sh\n'''exec' [\"']?([^\"'\n]{1,1000}?python[^\"' \n]{0,10})[\"']? ")  # pip's own
ASK = "import importlib.metadata as m; print(m.version('torch'))"
ASK_S = 5.0
VERSION = re.compile(r"(\d{1,4})\.(\d{1,4})")


def interpreter(command: Sequence[str], environ: Mapping[str, str]) -> Path | None:
    """The Python of `python train.py`, or of a script that names one (torchrun); None for anything else."""
    for word in command:
        found = shutil.which(word, path=environ.get("PATH"))
        if found and PYTHON.fullmatch(Path(found).name):
            return Path(found)
        if found and (named := shebang(Path(found), environ)):
            return named
        if Path(command[0]).name not in WRAPPERS:
            return None
    return None


def shebang(script: Path, environ: Mapping[str, str]) -> Path | None:
    """The Python that a script names in its first line."""
    try:
        with script.open("rb") as stream:
            head = stream.read(2000)
    except OSError:
        return None
    match = LONG.match(head) or SHEBANG.match(head)
    if match is None:
        return None
    words = [os.fsdecode(word) for word in match.groups() if word]
    if len(words) > 1 and Path(words[0]).name == "env":
        words = [shutil.which(words[1], path=environ.get("PATH")) or ""]
    return Path(words[0]) if PYTHON.fullmatch(Path(words[0]).name) else None


def torch_version(python: Path, environ: Mapping[str, str]) -> str:
    """The torch that this Python would import; empty where it has none, or does not say.

    By the folders that packages leave beside it; the interpreter is asked only where these do not tell.
    """
    for place in environ.get("PYTHONPATH", "").split(os.pathsep):
        if place and (found := versions(Path(place).glob("torch-*.dist-info"))):
            return found.pop()
    found = versions(python.parent.parent.glob("lib*/python3*/*-packages/torch-*.dist-info"))
    return found.pop() if len(found) == 1 else asked(python, environ)


def versions(folders: Iterator[Path]) -> set[str]:
    """
    >>> versions(iter([Path("/v/lib/python3.12/site-packages/torch-2.9.1+cu128.dist-info")]))
    {'2.9.1+cu128'}
    """
    try:
        return {path.name.removeprefix("torch-").removesuffix(".dist-info") for path in folders}
    except OSError:
        return set()


def asked(python: Path, environ: Mapping[str, str]) -> str:
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            [python, "-c", ASK],
            env=environ,
            stdin=subprocess.DEVNULL,  # ours is the command's
            capture_output=True,
            timeout=ASK_S,
            text=True,
        )
        text = done.stdout.strip()
        return text if done.returncode == 0 and VERSION.match(text) else ""
    return ""


def release(version: str) -> tuple[int, int] | None:
    """
    >>> release("2.13.0+cpu") > release("2.9"), release("")
    (True, None)
    """
    found = VERSION.match(version)
    return (int(found[1]), int(found[2])) if found else None

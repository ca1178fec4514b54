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
UNSETS, CLEARS, TAKES = ("-u", "--unset"), ("-", "-i", "--ignore-environment"), ("-C", "--chdir")
ASSIGNED = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,200}")
SHELLS, MAX_SCRIPT = {"sh", "bash", "zsh", "dash"}, 64 << 10
PYTHON = re.compile(r"python(?:3(?:\.\d{1,2})?t?)?")
SHEBANG = re.compile(rb"#!\s{0,8}(\S{1,500})(?:[ \t]{1,8}(\S{1,500}))?")
LONG = re.compile(rb"#!/bin/sh\n'''exec' [\"']?([^\"'\n]{1,1000}?python[^\"' \n]{0,10})[\"']? ")  # pip's own
ASK = "import importlib.metadata as m; print(m.version('torch'))"
ASK_S = 5.0
VERSION = re.compile(r"(\d{1,4})\.(\d{1,4})")


def assigned(command: Sequence[str], environ: Mapping[str, str]) -> dict[str, str]:
    """The environment as the command's own `env` words leave it for what it runs.

    >>> assigned(["nice", "env", "-u", "B", "A=1", "torchrun", "C=3"], {"A": "0", "B": "2"})
    {'A': '1'}
    """
    after, words = dict(environ), iter(command)
    is_env = False
    for word in words:
        name, has_value, value = word.partition("=")
        if is_env and word in UNSETS:
            after.pop(next(words, ""), None)
        elif is_env and name in UNSETS and has_value:
            after.pop(value, None)
        elif is_env and word in CLEARS:
            after.clear()
        elif is_env and word in TAKES:
            next(words, "")
        elif is_env and ASSIGNED.fullmatch(name) and has_value:
            after[name] = value
        elif Path(word).name in WRAPPERS:
            is_env = Path(word).name == "env"
        elif not (word.startswith("-") or word[:1].isdigit()):  # an option of a wrapper, or its number
            break
    return after


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


def spoken(command: Sequence[str]) -> str:
    """The command's words, and what a shell among them is told to do: `-c`, or the script's text.

    >>> spoken(["bash", "-c", "torchrun --nnodes 2 train.py"])
    'bash -c torchrun --nnodes 2 train.py'
    """
    said = " ".join(command)
    shells = [at for at, word in enumerate(command) if Path(word).name in SHELLS]
    script = next((word for word in command[shells[0] + 1 :] if word[:1] not in "-+"), "") if shells else ""
    with suppress(OSError, ValueError):
        if script and Path(script).is_file():
            with Path(script).open("rb") as stream:
                said += "\n" + stream.read(MAX_SCRIPT).decode(errors="replace")
    return said


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

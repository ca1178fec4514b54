"""Where a variable of the environment was set: on the command line, in a file, by a process, in the image."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence

from probes import procfs, redact

NUM_ANCESTORS = 64
NUM_BYTES = 1 << 20  # of a file that is searched
PROFILES = (
    *(".bashrc", ".bash_profile", ".profile", ".bash_aliases", ".zshrc", ".zshenv", ".zprofile"),
    *("/etc/environment", "/etc/profile", "/etc/bash.bashrc", "/etc/zsh/zshenv"),
)
PROFILE_FOLDERS = ("/etc/profile.d",)
SHELLS = re.compile(r"(?:ba|da|z|k|a|c|tc|fi)?sh\Z")


def of(name: str, command: Sequence[str], environ: Mapping[str, str], pid: int | None = None) -> str:
    """One phrase, with a file and line where there is one."""
    if name in prefix(command):
        return "the command line"
    files = [*scripts(command), *profiles(environ)]
    value = environ.get(name, "")
    holder, above = first_holder(name, value, os.getpid() if pid is None else pid)
    if holder == 1:
        return "the environment of process 1: the image, or how the container was started"
    if above and (found := in_files(name, [*scripts(procfs.cmdline(above)), *files])):
        return found
    if found := in_files(name, files):
        return found
    if above:
        return f"process {above} ({title(above)}), or a word before the command"
    return "the environment that was passed on"


def prefix(command: Sequence[str]) -> dict[str, str]:
    """What a command line sets before its program.

    >>> prefix(["env", "-i", "NCCL_ALGO=Tree", "torchrun", "a=b"])
    {'NCCL_ALGO': 'Tree'}
    """
    found: dict[str, str] = {}
    for word in command[1:64] if command and os.path.basename(command[0]) == "env" else ():
        name, has_value, value = word.partition("=")
        if has_value and name.isidentifier():
            found[name] = value
        elif not word.startswith("-"):
            break
    return found


def first_holder(name: str, value: str, pid: int) -> tuple[int, int]:
    """The uppermost process, from this one upwards, that was started with the value; and the one above it.

    0 where there is none. A shell that exports a variable does not show it itself, its children do.
    """
    holder, above = 0, pid
    for _ in range(NUM_ANCESTORS):
        raw = procfs.read(f"/proc/{above}/environ")
        if raw is None or procfs.parse_environ(raw).get(name) != value:
            break
        holder = above
        found = procfs.stat(above)
        if found is None or found.ppid <= 0:
            return holder, 0
        above = found.ppid
    return holder, above


def title(pid: int) -> str:
    return redact.redact_argv(procfs.cmdline(pid))[:80] or "gone"


def scripts(command: Sequence[str]) -> list[str]:
    """The shell scripts of a command line: the command itself, or what a shell was given."""
    words = (
        list(command[:2])
        if command and SHELLS.match(os.path.basename(command[0]).lstrip("-"))
        else command[:1]
    )
    return [word for word in words if os.path.isfile(word) and is_script(word)]


def is_script(path: str) -> bool:
    head = procfs.head(path, 64) or b""
    return path.endswith((".sh", ".env")) or (head.startswith(b"#!") and b"sh" in head.split(b"\n")[0])


def profiles(environ: Mapping[str, str]) -> Iterator[str]:
    """Files that shells read at their start, and those of an activated conda environment."""
    home = environ.get("HOME", "")
    for name in PROFILES:
        yield name if name.startswith("/") else os.path.join(home, name)
    conda = environ.get("CONDA_PREFIX", "")
    for folder in (*PROFILE_FOLDERS, *([f"{conda}/etc/conda/activate.d"] if conda else [])):
        try:
            yield from sorted(os.path.join(folder, one) for one in os.listdir(folder) if one.endswith("sh"))
        except OSError:
            continue


def in_files(name: str, paths: Sequence[str]) -> str:
    """`path:line` of the last line that sets the variable, in the first file that does; empty for none."""
    sets = re.compile(rf"^\s*(?:export\s+|declare\s+-x\s+|setenv\s+|typeset\s+-x\s+)?{re.escape(name)}[=\s]")
    for path in paths:
        text = (procfs.head(path, NUM_BYTES) or b"").decode(errors="replace")
        lines = [num for num, line in enumerate(text.splitlines(), 1) if sets.match(line)]
        if lines:
            return f"{path}:{lines[-1]}"
    return ""

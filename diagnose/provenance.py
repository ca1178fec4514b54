"""What a run is made of, as its parent sees it: variables, image, driver, and the state of the code.

Nothing of a user's code runs for it, and what may not answer has a deadline.
"""

import os
import re
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from diagnose import uncommitted
from probes import here, settings
from probes.redact import HIDDEN, is_secret_name, redact

NEAR = 6  # words before one that may tell it to be a secret
GIT_S = 5.0
# No hook, no monitor, no pager and no lock: the checkout stays as it is.
GIT = [
    *("--no-pager", "--no-optional-locks", "-c", "core.quotePath=false"),
    *("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"),
]
STATUS = ["status", "--porcelain=v2", "--branch", "--untracked-files=normal", "--ignore-submodules=dirty"]


def variables(environ: Mapping[str, str], spool: str) -> dict[str, str]:
    """The variables worth keeping, without secrets; what lies in the run's own spool reads `{spool}/...`.

    >>> variables({"NCCL_DEBUG": "INFO", "HOME": "/root", "TORCH_HOME": "/tmp/dg-1/x"}, "/tmp/dg-1")
    {'NCCL_DEBUG': 'INFO', 'TORCH_HOME': '{spool}/x'}
    """
    return settings.told(environ, spool)


def image(environ: Mapping[str, str]) -> str:
    """The image's id or digest, where the container's environment tells it."""
    return redact(here.image(environ))[:300]


def folder() -> str:
    """Where the command is started; empty where that is gone."""
    try:
        return redact(os.fsencode(Path.cwd()).decode(errors="replace"))[: settings.LONGEST]
    except OSError:
        return ""


def arguments(command: Sequence[str]) -> list[str]:
    """The command word by word, without secrets.

    >>> arguments(["train.py", "--hf-token", "abc", "--lr=0.1"])
    ['train.py', '--hf-token', '<redacted>', '--lr=0.1']
    >>> arguments(["mysql", "-u", "me", "-phunter2", "db"])
    ['mysql', '-u', 'me', '<redacted>', 'db']
    """
    words, hide = list[str](), False
    for at, word in enumerate(command):
        near = command[max(0, at - NEAR) : at]
        before = shlex.join(near) if any(" " in one for one in near) else " ".join(near)
        is_told = redact(f"{before} {word}").endswith(word) if before else True
        shown = redact(word)[: settings.LONGEST]
        is_hidden = (hide and not word.startswith("-")) or (shown == word and not is_told)
        words.append(HIDDEN if is_hidden else shown)
        hide = word.startswith("-") and "=" not in word and is_secret_name(word)
    return words


MODULE = re.compile(r"Kernel Module(?: for \S{1,20})?\s{1,9}([0-9][0-9.]{1,20})")


def driver(path: str = "/proc/driver/nvidia/version") -> str:
    """The kernel driver's version; empty where there is none."""
    try:
        found = MODULE.search(Path(path).read_text(errors="replace"))
    except OSError:
        return ""
    return found[1] if found else ""


def checkout(
    command: Sequence[str], deadline_s: float = GIT_S, folder: Path | None = None
) -> dict[str, object]:
    """The data of `checkout.read`: commit, branch, what is changed where the program lies.

    `digest` is of the code that no commit holds; without a checkout of the program's own file.
    """
    script = next((Path(word) for word in command if word.endswith(".py") and Path(word).is_file()), None)
    folder = folder or (script.resolve().parent if script else Path.cwd())
    quiet = {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", *GIT, "-C", str(folder), *STATUS],
            env={**kept, **quiet},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=deadline_s,
        )
        if done.returncode == 0:
            lines = os.fsdecode(done.stdout).splitlines()
            told = status(done.stdout.decode(errors="replace"))
            return {**told, "digest": uncommitted.digest(folder, lines)}
        reason = done.stderr.decode(errors="replace").strip()[:300] or f"exit code {done.returncode}"
    except FileNotFoundError:
        reason = "git is not installed"
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = "git did not answer" if isinstance(error, subprocess.TimeoutExpired) else str(error)
    return {"reason": reason, **({"digest": uncommitted.of([script])} if script else {})}


def status(text: str) -> dict[str, object]:
    r"""
    >>> status("# branch.oid 12ab\n# branch.head main\n1 .M N... a.py\n? runs/\n")
    {'commit': '12ab', 'branch': 'main', 'dirty': True, 'num_changed': 1, 'num_untracked': 1}
    """
    heads = dict(line[2:].split(" ", 1) for line in text.splitlines() if re.match(r"# \S+ \S", line))
    num_changed = len(re.findall(r"(?m)^[12u] ", text))
    return {
        "commit": heads.get("branch.oid", "").replace("(initial)", ""),
        "branch": redact(heads.get("branch.head", ""))[:200],
        "dirty": num_changed > 0,
        "num_changed": num_changed,
        "num_untracked": len(re.findall(r"(?m)^\? ", text)),
    }

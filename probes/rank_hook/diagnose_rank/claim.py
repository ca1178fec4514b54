"""May this Python process be a rank? Decided from environment, parent and command line alone."""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

KEY = ("RANK", "LOCAL_RANK", "TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT")
MARK = "DIAGNOSE_CLAIM"
_VALUED = frozenset(["-X", "-W", "--check-hash-based-pycs"])
_LAUNCHERS = frozenset(
    [
        "torchrun",
        "torchrun.py",
        "torch.distributed.run",
        "torch.distributed.launch",
        "accelerate",
        "accelerate-launch",
        "accelerate.commands.launch",
        "accelerate.commands.accelerate_cli",
        "deepspeed",
        "deepspeed.launcher.runner",
        "deepspeed.launcher.launch",
        "horovodrun",
        "composer",
    ]
)


def key(environ: "Mapping[str, str]") -> str:
    """What makes two processes the same rank, as text."""
    return ";".join([environ.get(name, "") for name in KEY])


def program(argv: "list[str]") -> str:
    """The script's base name or the module's name in a Python command line; empty where there is neither.

    >>> program(["python", "-u", "-X", "dev", "/bin/torchrun", "a.py"])
    'torchrun'
    >>> program(["python3", "-um", "torch.distributed.run"])
    'torch.distributed.run'
    >>> program(["python", "-c", "pass"]), program(["python"])
    ('', '')
    """
    words = iter(argv[1:])
    for word in words:
        if word in _VALUED:
            next(words, None)
        elif word.startswith("--") or word == "-":
            continue
        elif not word.startswith("-"):
            return word.rpartition("/")[2]
        else:
            for at, letter in enumerate(word[1:], 2):
                if letter in "XW":  # the value is the rest of the word
                    if not word[at:]:
                        next(words, None)
                    break
                if letter in "mc":
                    value = word[at:] or next(words, "")
                    return value if letter == "m" else ""
    return ""


def is_launcher(argv: "list[str]") -> bool:
    """A launcher may carry an outer RANK (from a scheduler), and is never a rank itself."""
    return program(argv) in _LAUNCHERS


def role(environ: "Mapping[str, str]", argv: "list[str]", pid: int, ppid: int) -> str:
    """What this process may become.

    Returns
    -------
    str
        `rank`: by its environment. `command`: the command itself, rank 0 of 1 unless a rank shows up below.
        `late`: the same once it imports torch. `waiting`: only if it makes a process group. Empty: never.
    """
    if is_launcher(argv):
        return ""
    claimed_by, _, claimed_key = environ.get(MARK, "").partition(";")
    if claimed_by and claimed_key == key(environ) and claimed_by != str(pid):
        return "waiting"
    if environ.get("RANK", "").isdigit():
        return "rank"
    if claimed_by == str(pid) or environ.get("DIAGNOSE_PARENT_PID", "") == str(ppid):
        return "command"
    return "waiting" if claimed_by else "late"


def argv() -> "list[str]":
    """The interpreter's command line, whole; `sys.argv` is not there yet when the hook starts."""
    found = getattr(sys, "orig_argv", None)
    if found:
        return list(found)
    with open("/proc/self/cmdline", "rb") as file:
        return [word.decode(errors="replace") for word in file.read().rstrip(b"\0").split(b"\0")]

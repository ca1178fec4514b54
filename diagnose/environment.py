"""What of the command's environment is changed, and why: from the playbook's data.

Pure, but for `load` and `apply`. Applied before torch is imported: it reads most of this once.
"""

import os
import re
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import PurePath
from typing import NamedTuple

from diagnose import playbook
from diagnose.contract import Change
from diagnose.interpreter import assigned, release, spoken
from diagnose.playbook import Environment, Variable
from probes.redact import HIDDEN, is_secret_name, redact

POLICIES = {"observe": ["observe"], "policy": ["observe", "policy"], "none": []}
MODES = ("single", "ddp", "tensor_parallel", "ddp+tensor_parallel", "fsdp2")

MODULES = {"torch.distributed.run", "torch.distributed.launch"}
NO_VALUE = {
    "--standalone",
    "-m",
    "--module",
    "--no-python",
    "--run-path",
    "--virtual-local-rank",
    "--use-env",
}


# How a command tells its mode where nobody says it.
FSDP = re.compile(r"(?i)--?(?:use[-_])?(?:torch[-_])?fsdp2?(?:[-_=].*)?")
TENSOR = re.compile(r"--(?:tensor[-_](?:model[-_])?parallel[-_]size|tp[-_]size)(?:=(\d{1,5}))?")


# How many nodes: a torchrun's, a script's, Accelerate's, DeepSpeed's or Slurm's own flag.
NODES = re.compile(r"\s--(?:nnodes|num[-_]nodes|num[-_]machines|nodes)(?:=|\s{1,4})[\"']?([^\s\"']{1,100})")
SRUN = re.compile(r"\bsrun\s(?:[^\n]{0,500}?\s)?-N\s?(\d{1,6})(?=\s)")
OVER_HOSTS = {"srun", "mpirun", "mpiexec", "horovodrun", "deepspeed", "jsrun", "aprun"}


class Plan(NamedTuple):
    """The command's environment, what in it was changed or kept, and what was left alone: name -> why."""

    environ: dict[str, str]
    changes: list[Change]
    left: dict[str, str]


def load(name: str) -> list[Environment]:
    """The policies of `--env NAME`, in the order in which they are applied."""
    folder = playbook.root() / "environment"
    return [playbook.read(folder / f"{one}.toml", Environment) for one in POLICIES[name]]


def apply(
    command: Sequence[str] = (), mode: str = "", environ: MutableMapping[str, str] | None = None
) -> list[Change]:
    """For a program of your own: settle `os.environ` by the policy, before it imports torch.

    What needs a run to write into (dumps, logs) is left to `diagnose run`. Answers what was changed or kept.
    Raises RuntimeError where torch has been imported: it would not see much of this.
    """
    if environ is None and "torch" in sys.modules:
        raise RuntimeError("torch has been imported: the environment must be settled before")
    mine = os.environ if environ is None else environ
    done = plan(command, dict(mine), load("policy"), {}, mode=mode)
    for change in done.changes:
        if change.action == "unset":
            mine.pop(change.name, None)
        elif change.value is not None:
            mine[change.name] = change.value
    return done.changes


def launcher_flags(command: Sequence[str]) -> dict[str, str] | None:
    """torchrun's own flags with their values; None where the command is not torchrun.

    >>> launcher_flags(["python", "-m", "torch.distributed.run", "--nnodes=2", "-t", "3", "train.py", "-x"])
    {'--nnodes': '2', '-t': '3'}
    >>> launcher_flags(["python", "train.py"])
    """
    start = next(
        (
            i + 1
            for i, word in enumerate(command)
            if PurePath(word).name == "torchrun" or (word in MODULES and i and command[i - 1] == "-m")
        ),
        None,
    )
    if start is None:
        return None
    flags: dict[str, str] = {}
    words = iter(command[start:])
    for word in words:
        if not word.startswith("-") or word == "--":
            break
        name, has_value, value = word.partition("=")
        name = name.replace("_", "-")
        flags[name] = value if has_value or name in NO_VALUE else next(words, "")
    return flags


def conditions(command: Sequence[str], environ: Mapping[str, str], mode: str = "") -> set[str]:
    """Which of the playbook's conditions hold for this command; `mode` is one of MODES where it is known.

    >>> sorted(conditions(["torchrun", "t.py", "--fsdp", "full_shard"], {}))
    ['fsdp', 'single_node', 'torchrun']
    """
    flags = launcher_flags(command)
    holds = {
        "torchrun": flags is not None,
        "single_node": is_on_one_node(command, environ, flags or {}),
        "fsdp": "fsdp" in mode if mode else is_fsdp(command, environ),
        "tensor_parallel": "tensor_parallel" in mode if mode else is_tensor_parallel(command),
    }
    return {name for name, so in holds.items() if so}


def is_on_one_node(command: Sequence[str], environ: Mapping[str, str], flags: Mapping[str, str]) -> bool:
    """Whether nothing speaks of several: no flag, variable or script; of a launcher over hosts, that it says so.

    >>> [is_on_one_node(words.split(), {}, {}) for words in ("python t.py", "srun t", "srun -N 1 t", "bash -c 'x --nodes=2'")]
    [True, False, True, False]
    """  # noqa: E501
    names = {PurePath(word).name for word in command}
    nodes = [flags.get("--nnodes") or environ.get("PET_NNODES") or "1"]
    nodes += [environ.get(name, "1") for name in ("SLURM_NNODES", "SLURM_JOB_NUM_NODES", "NNODES")]
    text = spoken(command)
    said = NODES.findall(text) + SRUN.findall(text)
    if OVER_HOSTS & names and not said:
        return False
    world, local = environ.get("WORLD_SIZE"), environ.get("LOCAL_WORLD_SIZE")
    return all(n.rpartition(":")[2].strip() == "1" for n in [*nodes, *said]) and (not world or world == local)


def is_fsdp(command: Sequence[str], environ: Mapping[str, str]) -> bool:
    told = environ.get("ACCELERATE_USE_FSDP", "").lower() in {"1", "true", "yes"}
    return told or any(FSDP.fullmatch(word) for word in command)


def is_tensor_parallel(command: Sequence[str]) -> bool:
    for word, after in zip(command, [*command, ""][1:], strict=True):
        if (match := TENSOR.fullmatch(word)) and (match[1] or after).isdecimal():
            return int(match[1] or after) > 1
    return False


def plan(
    command: Sequence[str],
    environ: Mapping[str, str],
    policies: Sequence[Environment],
    fill: Mapping[str, str],
    torch: str = "",
    mode: str = "",
) -> Plan:
    """Apply policies one after the other. The operator's own values win, and are reported as kept.

    `torch`: the version that the command will import, where it is known; `fill`: what `{...}` in values is.
    """
    given = assigned(command, environ)
    flags, holds = launcher_flags(command) or {}, conditions(command, given, mode)
    after, changes, left = dict(environ), dict[str, Change](), dict[str, str]()
    for written, variable in ((n, v) for policy in policies for n, v in policy.variable.items()):
        name, others = names(written, variable, release(torch))
        if why := not_here(variable, holds, release(torch), fill):
            left[name] = why
        elif name not in assigned(command, {name: ""}):
            left[name] = "the command itself takes it out"
        elif name not in given and (theirs := next((n for n in others if n in given), None)):
            changes[theirs] = Change(theirs, "kept", variable.why, given[theirs], given[theirs])
        elif name not in given and (flag := next((n for n in others if n in flags), None)):
            left[name] = f"{flag} says it"
        elif change := of(name, variable, given.get(name), fill):
            if given.get(name) != environ.get(name):  # written before the command, where nothing changes it
                change = Change(name, "kept", variable.why, given[name], given[name])
            changes[name] = change
            if change.action == "unset":
                after.pop(name, None)
            elif change.value is not None:
                after[name] = change.value
        else:
            left[name] = "nothing to change"
    return Plan(after, list(changes.values()), left)


def names(written: str, variable: Variable, torch: tuple[int, int] | None) -> tuple[str, list[str]]:
    """What a variable is called in this torch, and its other names.

    Of an unknown torch it is the older one: newer versions still read it.
    """
    if not variable.older:
        return written, variable.unless_set
    is_new = torch is not None and torch >= (release(variable.torch) or torch)
    name, other = (written, variable.older) if is_new else (variable.older, written)
    return name, [other, *variable.unless_set]


def not_here(
    variable: Variable, holds: set[str], torch: tuple[int, int] | None, fill: Mapping[str, str]
) -> str:
    """Why a variable is left alone; empty where it is not."""
    if variable.only and variable.only not in holds:
        return f"only for {SCOPES[variable.only]}"
    if torch and (end := release(variable.until)) and torch >= end:
        return f"not needed from torch {variable.until}"
    if torch and not variable.older and (begin := release(variable.torch)) and torch < begin:
        return f"unknown before torch {variable.torch}"
    return "needs a run to write into" if "{" in (variable.value or "") and not fill else ""


SCOPES = {
    "": "every job",
    "torchrun": "torchrun",
    "single_node": "one node",
    "fsdp": "FSDP",
    "tensor_parallel": "tensor parallelism",
}


def of(name: str, variable: Variable, before: str | None, fill: Mapping[str, str]) -> Change | None:
    """What one variable comes to; None where nothing changes and there is nothing to say."""
    if variable.drop:
        parts = (before or "").split(":")
        kept = [part for part in parts if not re.search(variable.drop, part)]
        if before is None or kept == parts:
            return None
        action = "set" if kept else "unset"
        return Change(name, action, variable.why, ":".join(kept) if kept else None, before)
    if variable.value is None:
        return None if before is None else Change(name, "unset", variable.why, None, before)
    value = variable.value.format(**fill)
    if before is not None:
        return None if before == value else Change(name, "kept", variable.why, before, before)
    return Change(name, "set", variable.why, value)


def hidden(name: str, value: str | None) -> str | None:
    """A variable's value as it may be shown."""
    return value and (HIDDEN if is_secret_name(name) else redact(value))


def shown(change: Change) -> Change:
    """A change as it may be written down."""
    value, before = hidden(change.name, change.value), hidden(change.name, change.before)
    return Change(change.name, change.action, change.why, value, before)

"""What of the command's environment is changed, and why: from the playbook's data. Pure."""

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import NamedTuple

from diagnose.contract import Change
from diagnose.playbook import Environment, Variable

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


class Plan(NamedTuple):
    """The command's environment, and what in it was changed or kept."""

    environ: dict[str, str]
    changes: list[Change]


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


def conditions(command: Sequence[str], environ: Mapping[str, str]) -> set[str]:
    """Which of the playbook's conditions hold for this command."""
    flags = launcher_flags(command)
    nodes = [(flags or {}).get("--nnodes") or environ.get("PET_NNODES") or "1"]
    nodes += [environ.get(name, "1") for name in ("SLURM_NNODES", "SLURM_JOB_NUM_NODES", "NNODES")]
    world, local = environ.get("WORLD_SIZE"), environ.get("LOCAL_WORLD_SIZE")
    is_single = all(n.rpartition(":")[2].strip() == "1" for n in nodes) and (not world or world == local)
    return {name for name, so in (("torchrun", flags is not None), ("single_node", is_single)) if so}


def plan(
    command: Sequence[str],
    environ: Mapping[str, str],
    policies: Sequence[Environment],
    fill: Mapping[str, str],
) -> Plan:
    """Apply policies one after the other. The operator's own values win, and are reported as kept."""
    given = {*environ, *(launcher_flags(command) or {})}
    holds = conditions(command, environ)
    after, changes = dict(environ), list[Change]()
    for name, variable in ((n, v) for policy in policies for n, v in policy.variable.items()):
        if variable.only and variable.only not in holds:
            continue
        change = of(name, variable, environ, given, fill)
        if change is None:
            continue
        changes.append(change)
        if change.action == "set" and change.value is not None:
            after[name] = change.value
        elif change.action == "unset":
            after.pop(name, None)
    return Plan(after, changes)


def of(
    name: str, variable: Variable, environ: Mapping[str, str], given: set[str], fill: Mapping[str, str]
) -> Change | None:
    """What one variable comes to; None where nothing changes and there is nothing to say."""
    before = environ.get(name)
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
    return None if given & set(variable.unless_set) else Change(name, "set", variable.why, value)

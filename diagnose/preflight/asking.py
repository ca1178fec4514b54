"""What is to be run, from the words of the command line. Pure."""

import re
from collections.abc import Mapping, Sequence

from diagnose.environment import launcher_flags
from diagnose.preflight.measured import Target

GPU = re.compile(r"(?:([A-Za-z][A-Za-z0-9+ _-]{0,30})(!?))?(?::?([1-9][0-9]{0,3}))?\Z")
UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}


class BadWish(Exception):
    """These words mean nothing. The message says which, and what would."""


def gpu(text: str) -> tuple[str, bool, int]:
    """Model, whether no other will do, and how many. Raises BadWish.

    >>> gpu("H100!:8"), gpu("B200"), gpu("8")
    (('H100', True, 8), ('B200', False, 1), ('', False, 8))
    """
    found = GPU.match(text.strip())
    if not found or not text.strip():
        raise BadWish(f"{text}: write a model, a count, or both: H100:8")
    return found[1] or "", bool(found[2]), int(found[3] or 1)


def setting(text: str) -> tuple[str, float]:
    """`checkpoint_bytes=20G` as a name and a number; of what is in seconds, `m` is minutes. Raises BadWish.

    >>> setting("checkpoint_bytes=20G"), setting("platform_timeout_s=5m")
    (('checkpoint_bytes', 20000000000.0), ('platform_timeout_s', 300.0))
    """
    name, _, value = text.partition("=")
    units = SECONDS if name.strip().endswith("_s") else UNITS
    found = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)([a-ac-z]?)b?", value.strip().lower())
    if not name or not found or found[2] not in units:
        words = "NAME=NUMBER, the number with k, M, G or T, a time with s, m or h, if need be"
        raise BadWish(f"{text}: write {words}")
    return name.strip(), float(found[1]) * units[found[2]]


def ranks(command: Sequence[str], environ: Mapping[str, str], num_gpus: int) -> tuple[int, int]:
    """How many ranks a node will have, and how many nodes there are; ranks 0 where nobody says.

    >>> ranks(["torchrun", "--nnodes=2", "--nproc-per-node", "8", "train.py"], {}, 0)
    (8, 2)
    >>> ranks(["torchrun", "train.py"], {"PET_NNODES": "4"}, 8)
    (8, 4)
    """
    flags = launcher_flags(command) or {}
    local = flags.get("--nproc-per-node") or environ.get("LOCAL_WORLD_SIZE", "")
    nodes = (
        flags.get("--nnodes") or environ.get("PET_NNODES") or environ.get("SLURM_NNODES") or "1"
    ).rpartition(":")[2]
    num_nodes = int(nodes) if nodes.isdigit() and int(nodes) else 1
    return (int(local) if local.isdigit() else num_gpus), num_nodes


def target(
    command: Sequence[str],
    environ: Mapping[str, str],
    wanted: str,
    folders: Sequence[str],
    settings: Sequence[str],
    level: str,
    platforms: Mapping[str, Mapping[str, float]],
) -> Target:
    """All of it; `platforms`: what each leaves a job. Raises BadWish."""
    model, is_pinned, num_gpus = gpu(wanted) if wanted else ("", False, 0)
    num_ranks, num_nodes = ranks(command, environ, num_gpus)
    return Target(
        command=list(command),
        gpu=model,
        is_pinned=is_pinned,
        num_gpus=num_gpus,
        num_ranks=num_ranks,
        num_nodes=num_nodes,
        folders=list(folders),
        settings=dict(map(setting, settings)),
        platforms={name: dict(told) for name, told in platforms.items()},
        level=level,
    )

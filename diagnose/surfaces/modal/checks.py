"""What is asked of Modal as a whole: what it could not do, and what it would do though hardly meant. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence

from diagnose.environment import launcher_flags
from diagnose.playbook import Limits
from diagnose.surfaces.modal.settings import NAME, BadSetting, Offer, Settings

PYTHON = re.compile(r"3\.1[1-9](?:\.[0-9]{1,2})?")
PLACE = re.compile(r"[a-z0-9][a-z0-9-]{0,40}")
LEAST_MIB, MOST_MIB, MOST_CORES = 128, 4 << 20, 1024  # loose: what is beyond was typed wrong


def check(settings: Settings, offer: Offer, words: Sequence[str]) -> None:
    """Raises BadSetting."""
    check_container(settings, offer)
    check_machine(settings)
    check_nodes(settings, offer, launcher_flags(words) or {})
    check_volumes(settings)


def check_container(settings: Settings, offer: Offer) -> None:
    """Times, and what goes into the image. Raises BadSetting."""
    for name, given in (("timeout", settings.timeout_s), ("startup timeout", settings.startup_timeout_s)):
        if given is not None and not 1 <= given <= offer.max_timeout_s:
            raise BadSetting(f"{name} {given} s: Modal takes 1 s to {offer.max_timeout_s} s")
    if settings.python and not PYTHON.fullmatch(settings.python):
        raise BadSetting(f"Python {settings.python}: what watches the command needs 3.11 or a later one")
    for package in settings.pip:
        if not package.strip() or package.startswith("-"):
            raise BadSetting(f"--pip {package}: no package; write NAME or NAME==VERSION, each with a --pip")


def check_machine(settings: Settings) -> None:
    """What a machine has, and where it is. Raises BadSetting."""
    if settings.memory and settings.memory[0] < LEAST_MIB:
        raise BadSetting(f"memory {settings.memory[0]} MiB: write GiB where GiB are meant, as 64GiB:96GiB")
    if settings.memory and settings.memory[1] > MOST_MIB:
        raise BadSetting(f"memory {settings.memory[1] >> 10} GiB: no machine has that")
    if settings.cpu is not None and not settings.cpu <= MOST_CORES:
        raise BadSetting(f"{settings.cpu:g} cores: no machine has that")
    for place in filter(None, (settings.region, settings.cloud)):
        if not PLACE.fullmatch(place):
            raise BadSetting(f"{place}: no name of a region or a cloud")


def check_nodes(settings: Settings, offer: Offer, flags: Mapping[str, str]) -> None:
    """A cluster has whole nodes, as many as torchrun is told by its own flags. Raises BadSetting."""
    nodes, (kind, _, count) = settings.nodes, settings.gpu.partition(":")
    if nodes > offer.max_nodes:
        raise BadSetting(f"{nodes} nodes: at most {offer.max_nodes} are in one cluster")
    if nodes > 1 and int(count or 0) != offer.node_gpus:
        raise BadSetting(f"{nodes} nodes are whole nodes: write --gpu {kind or 'H100'}:{offer.node_gpus}")
    if nodes == 1 and settings.rdma:
        raise BadSetting("RDMA is between nodes: ask for --nodes 2 or more")
    if nodes > 1 and "--standalone" in flags:
        raise BadSetting("--standalone is of one node; of several, torchrun is told by its environment")
    asked = flags.get("--nnodes", str(nodes)).rpartition(":")[2]
    if asked.isdigit() and int(asked) != nodes:
        raise BadSetting(f"torchrun is asked for {asked} nodes, Modal for {nodes}: write --nodes {asked}")


def check_volumes(settings: Settings) -> None:
    """Raises BadSetting."""
    for what in ("volume", "path"):
        used = [getattr(one, what) for one in settings.mounts]
        twice = next((name for name in used if used.count(name) > 1), None)
        if twice:
            raise BadSetting(f"{what} {twice} is given twice")
    if settings.volume in {one.volume for one in settings.mounts}:
        raise BadSetting(f"volume {settings.volume} is the one for diagnostics: it is mounted already")
    for name in (settings.volume, *settings.secrets):
        if not NAME.fullmatch(name):
            raise BadSetting(f"{name}: no name of a volume or a secret")


def doubts(
    settings: Settings, offer: Offer, limits: Limits, stall_after_s: float | None, words: Sequence[str]
) -> Iterator[str]:
    """What Modal would do as asked, and is perhaps not wanted: a line each."""
    yield from of_timeout(settings.timeout_s, offer, limits, stall_after_s)
    yield from of_command(words, int(settings.gpu.partition(":")[2] or 0))
    yield from of_container(settings, offer)
    if settings.memory is None:
        yield "no memory limit is asked for: where memory runs out, nobody can tell how near it was"


def of_timeout(timeout_s: int, offer: Offer, limits: Limits, stall_after_s: float | None) -> Iterator[str]:
    """What a job's timeout leaves of a hang."""
    stall_s = stall_after_s or limits.stall_after_first_step_s
    needed_s = max(stall_s, offer.collective_timeout_s) + limits.flush_s
    if timeout_s < needed_s:
        yield (
            f"timeout {timeout_s} s ends the container before a hang tells of itself: a stall is "
            f"called after {stall_s:.0f} s, a collective fails after {offer.collective_timeout_s} s; "
            f"at least {needed_s:.0f} s outlast both"
        )


def of_container(settings: Settings, offer: Offer) -> Iterator[str]:
    """What the container itself shows."""
    kind, _, count = settings.gpu.partition(":")
    if kind and (note := offer.gpu[kind].note):
        yield f"{kind}: {note}"
    if int(count or 0) > 2:
        yield "more than 2 GPUs at once are waited for longer"


def of_command(words: Sequence[str], num_gpus: int) -> Iterator[str]:
    """What the command itself shows.

    >>> list(of_command(["torchrun", "--nproc-per-node", "8", "train.py"], 1))
    ['torchrun starts 8 ranks in each container, which has 1 of the GPU']
    """
    if words and words[0].endswith(".py") and "/" not in words[0]:
        yield f"{words[0]} is no program that can be started by its name: python {words[0]} runs it"
    flags = launcher_flags(words)
    given = "auto" if flags is None else flags.get("--nproc-per-node", "1")
    if num_gpus and given.isdigit() and int(given) != num_gpus:
        ranks = "1 rank" if int(given) == 1 else f"{int(given)} ranks"
        yield f"torchrun starts {ranks} in each container, which has {num_gpus} of the GPU"

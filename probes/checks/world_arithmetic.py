"""Whether the ranks' own numbers fit together: sizes, ranks, the address where they meet."""

from collections.abc import Mapping

from probes.checking import trial
from probes.checking.check import Measurement, Target, Value, measured, skipped

CHECK = trial.follower()
WHERE = "the ranks' environment in the trial"


def measure(target: Target) -> list[Measurement]:
    worlds = [mine["world"] for mine in trial.held(target).everyone().values()]
    return [measured("job", WHERE, **of_worlds(worlds))] if worlds else [skipped("job", WHERE, trial.UNMET)]


def of_worlds(worlds: list[Mapping[str, str]]) -> dict[str, Value]:
    """
    >>> one = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1", "GROUP_RANK": "0"}
    >>> of_worlds([one])["world_size_told"], of_worlds([one, one])["has_twice"]
    (1, True)
    """
    sizes = {world.get("WORLD_SIZE", "") for world in worlds}
    local = {world.get("GROUP_RANK", ""): world.get("LOCAL_WORLD_SIZE", "") for world in worlds}
    ranks = [world.get("RANK", "") for world in worlds]
    told = next(iter(sizes)) if len(sizes) == 1 else ""
    return {
        "world_size_told": int(told) if told.isdigit() else None,
        "num_world_sizes": len(sizes),
        "has_twice": len(set(ranks)) < len(ranks),
        "adds_up": told.isdigit() and sum(int(n) for n in local.values() if n.isdigit()) == int(told),
        "num_addresses": len({(world.get("MASTER_ADDR"), world.get("MASTER_PORT")) for world in worlds}),
    }

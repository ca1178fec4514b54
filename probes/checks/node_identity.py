"""Whether nodes are told apart: NCCL takes two of one name, with GPUs at the same place, for one."""

from probes.checking import trial
from probes.checking.check import Measurement, Target, measured

CHECK = trial.follower(needs=("nodes",))


def measure(target: Target) -> list[Measurement]:
    """Two machines have two boot ids, whatever they are called."""
    by_name: dict[str, dict[str, set[str]]] = {}
    for mine in trial.held(target).everyone().values():
        node = mine["node"]
        name = node.get("host_id") or node.get("hostname", "")
        by_name.setdefault(name, {}).setdefault(node.get("boot", ""), set()).add(
            mine["device"].get("bus", "")
        )
    return [
        measured(
            name,
            "NCCL_HOSTID, hostname and boot id in the trial",
            num_machines=len(boots),
            num_shared_places=len(set.intersection(*boots.values())) if len(boots) > 1 else 0,
        )
        for name, boots in by_name.items()
    ]

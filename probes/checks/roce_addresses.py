"""Whether the address (GID) that NCCL takes on a RoCE port is there, and which version of RoCE it means."""

from probes.checking import machine, rdma
from probes.checking.check import Check, Measurement, Target, measured

CHECK = Check(needs=("rdma",))
NOTHING = "0000:0000:0000:0000:0000:0000:0000:0000"


def measure(target: Target) -> list[Measurement]:
    setting = target.environ.get("NCCL_IB_GID_INDEX", "")
    return [of(port, setting, target.num_nodes) for port in rdma.ports(target.environ)]


def of(port: rdma.Port, setting: str, num_nodes: int) -> Measurement:
    used = [
        index
        for index in machine.listed(f"{port.folder}/gids")
        if port.word(f"gids/{index}") not in ("", NOTHING)
    ]
    kinds = {index: port.word(f"gid_attrs/types/{index}") for index in used}
    is_set = setting.lstrip("-").isdigit() and int(setting) >= 0
    return measured(
        str(port),
        f"{port.folder}/gids, gid_attrs/types, NCCL_IB_GID_INDEX",
        link_layer=port.word("link_layer"),
        index=int(setting) if is_set else None,
        is_there=setting in used if is_set else None,
        kind=kinds.get(setting) if is_set else None,
        num_v2=sum(kind == "RoCE v2" for kind in kinds.values()),
        num_nodes=num_nodes,
    )

"""A container's place in a cluster, and what its launcher is told of it.

>>> two = Node("cu-1", 1, ["fdaa::1", "fdaa::2"], 8)
>>> two.first_rank, two.name
(8, 'node-1')
>>> told = variables(two, {})
>>> [told[name] for name in ("PET_NNODES", "PET_NODE_RANK", "MASTER_ADDR", "MASTER_PORT")]
['2', '1', 'fdaa::1', '29500']
"""

import json
import os
import socket
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from diagnose.environment import launcher_flags
from probes.layout import RANK_DIGITS

PORT = "29500"  # torchrun's own; each container has ports of its own


class Node(NamedTuple):
    """One container of a cluster; `addresses` are of all of them, by `node_index`."""

    cluster_id: str
    node_index: int
    addresses: list[str]
    num_local: int | None  # ranks in each, where that can be told

    @property
    def name(self) -> str:
        return f"node-{self.node_index}"

    @property
    def first_rank(self) -> int | None:
        return None if self.num_local is None else self.node_index * self.num_local

    def place(self) -> dict[str, object]:
        """What tells it from the others."""
        return {
            "cluster_id": self.cluster_id,
            "node_index": self.node_index,
            "num_nodes": len(self.addresses),
            "first_rank": self.first_rank,
        }

    def told(self) -> dict[str, object]:
        """What the container's first event says of it; the host's id is what NCCL knows hosts by."""
        address = self.addresses[self.node_index] if self.node_index < len(self.addresses) else ""
        return {
            **self.place(),
            "address": address,
            "host_id": os.environ.get("NCCL_HOSTID", ""),
            "hostname": socket.gethostname(),
        }


def here(command: Sequence[str], gpu: str) -> Node | None:
    """Where this container is in its cluster; None where it is in none."""
    import modal
    from modal.exception import InvalidError

    try:
        cluster = modal.Cluster.from_context()
        rank, addresses = cluster.container_rank(), cluster.container_ips()
    except (InvalidError, AttributeError):  # an older client knows no clusters
        return None
    return Node(cluster.object_id, rank, list(addresses), num_local(command, gpu))


def num_local(command: Sequence[str], gpu: str) -> int | None:
    """How many ranks a launcher starts in each container, by its flags, else by the GPUs.

    >>> num_local(["torchrun", "--nproc_per_node=2", "train.py"], "H100:8")
    2
    >>> num_local(["torchrun", "--nproc-per-node", "gpu", "train.py"], "H100:8")
    8
    """
    given = (launcher_flags(command) or {}).get("--nproc-per-node", "")
    count = given if given.isdigit() else gpu.partition(":")[2]
    return int(count) if count.isdigit() and 0 < len(count) < RANK_DIGITS else None


def variables(node: Node, environ: Mapping[str, str]) -> dict[str, str]:
    """What tells torchrun (PET_*, the defaults of its flags) and others where they are, and us."""
    address, port = node.addresses[0], environ.get("MASTER_PORT") or PORT
    nodes, index = str(len(node.addresses)), str(node.node_index)
    return {
        "PET_NNODES": nodes,
        "PET_NODE_RANK": index,
        "PET_MASTER_ADDR": address,
        "PET_MASTER_PORT": port,
        "MASTER_ADDR": address,
        "MASTER_PORT": port,
        "NNODES": nodes,
        "NODE_RANK": index,
        "DIAGNOSE_NODE": node.name,
        "DIAGNOSE_CLUSTER": json.dumps(node.place()),
    }

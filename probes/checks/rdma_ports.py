"""Whether the ports of RDMA devices are up, and how fast they are."""

from probes.checking import rdma
from probes.checking.check import Check, Measurement, Target, measured

CHECK = Check(needs=("rdma",))


def measure(target: Target) -> list[Measurement]:
    found = list(rdma.ports(target.environ))
    rates = [rdma.rate(port.word("rate")) or 0 for port in found]
    return [
        measured(
            str(port),
            f"{port.folder}/state, phys_state, rate",
            state=state(port.word("state")),
            phys_state=state(port.word("phys_state")),
            gbits_per_s=speed or None,
            share_of_fastest=speed / max(rates) if max(rates) else None,
            link_layer=port.word("link_layer"),
            num_nodes=target.num_nodes,
            gpu=target.gpu.upper(),
        )
        for port, speed in zip(found, rates, strict=True)
    ]


def state(text: str) -> str:
    """
    >>> state("4: ACTIVE")
    'ACTIVE'
    """
    return text.partition(":")[2].strip() or text

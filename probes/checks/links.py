"""What connects each pair of GPUs, and whether one may read and write the other's memory: as NVML has it."""

from typing import Any

from probes.checking.check import Measurement, Target, measured, skipped
from probes.nvml import reading
from probes.nvml.asking import Asked

CHECK = reading.OF_PAIRS
WHERE = "nvmlDeviceGetP2PStatus, nvmlDeviceGetTopologyCommonAncestor"


def measure(target: Target) -> list[Measurement]:
    asked = reading.answers(target)
    found = reading.silence(asked)
    links = {gpu: asked.of("links", gpu) or {} for gpu in asked.gpus}
    has_switches = bool(reading.has_switches(asked))
    for gpu in asked.gpus[:-1]:
        pairs = asked.of("pairs", gpu)
        if pairs is None:
            found.append(skipped(f"gpu {gpu}", WHERE, reading.reason(asked, "pairs", gpu)))
        for pair in (one for one in pairs or [] if one["to"] in asked.gpus):
            found.append(
                measured(
                    f"gpu {gpu} - gpu {pair['to']}",
                    WHERE,
                    link=link(asked, gpu, pair, links),
                    has_switches=has_switches,
                    **{kind: pair[kind] for kind in ("nvlink", "read", "write", "atomics")},
                )
            )
    return found


def link(asked: Asked, gpu: int, pair: dict[str, Any], links: dict[int, dict[str, Any]]) -> str:
    """`NV18`: so many NVLinks, as `nvidia-smi topo -m` counts them; else the way over PCIe."""
    mine, theirs = links[gpu], links[pair["to"]]
    if pair["nvlink"] != "ok":
        return str(pair["level"] or "?")
    bus = (asked.of("pci", pair["to"]) or {}).get("bus", "")
    direct = sum(peer == bus for peer in mine.get("peers", [])) if bus else 0
    return f"NV{direct or min(mine.get('num_active', 0), theirs.get('num_active', 0))}"

"""Arithmetic of micro-benchmarks: what seconds come to. Bus bandwidth is as nccl-tests defines it. Pure."""

from collections.abc import Sequence
from statistics import median

GB = 1e9


def bus_gbps(op: str, num_bytes: int, num_ranks: int, seconds: float) -> float:
    """Bytes a second over the slowest link, in GB/s; `num_bytes` is the whole of the larger side.

    >>> bus_gbps("all_reduce", 8_000_000_000, 8, 0.035)
    400.0
    >>> bus_gbps("all_gather", 8_000_000_000, 8, 0.0175)
    400.0
    >>> bus_gbps("send_recv", 1_000_000_000, 2, 0.01)
    100.0
    """
    share = (num_ranks - 1) / num_ranks
    factor = {"all_reduce": 2 * share, "send_recv": 1.0}.get(op, share)
    return round(num_bytes / seconds * factor / GB, 3)


def p95(seconds: Sequence[float]) -> float:
    """The value that 95 % do not exceed.

    >>> p95([float(n) for n in range(1, 21)])
    19.0
    """
    ordered = sorted(seconds)
    return ordered[max(0, -(-len(ordered) * 95 // 100) - 1)]


def gemm_tflops(width: int, seconds: float) -> float:
    """A square product of this width.

    >>> gemm_tflops(8192, 0.0014)
    785.4
    """
    return round(2 * width**3 / seconds / 1e12, 1)


def late_shares(seconds: dict[int, list[float]]) -> dict[int, float]:
    """rank -> by how much its typical time for equal work exceeds that of the ranks' middle.

    >>> late_shares({0: [1.0, 1.0], 1: [1.0, 1.0], 2: [1.2, 1.2]})
    {0: 0.0, 1: 0.0, 2: 0.2}
    """
    typical = {rank: median(mine) for rank, mine in seconds.items() if mine}
    middle = low_median(list(typical.values()))
    return {rank: round(mine / middle - 1, 4) for rank, mine in typical.items()} if middle else {}


def low_median(values: list[float]) -> float:
    """The middle one, the smaller of two: of two ranks the faster one is the measure."""
    return sorted(values)[(len(values) - 1) // 2] if values else 0.0


def size(num_bytes: int) -> str:
    """
    >>> size(1 << 20), size(4096)
    ('1 MiB', '4 KiB')
    """
    return f"{num_bytes >> 20} MiB" if num_bytes >= 1 << 20 else f"{num_bytes >> 10} KiB"

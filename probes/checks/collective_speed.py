"""Bus bandwidth of each collective by size: median and 95th percentile of the slowest rank's seconds."""

from statistics import median

from probes.checking import bandwidth, nccl_words, trial
from probes.checking.check import Measurement, Target, Value, measured, skipped
from probes.checking.trial import Trial
from probes.checking.trial_files import Said

CHECK = trial.follower()


def measure(target: Target) -> list[Measurement]:
    held = trial.held(target)
    by_size: dict[tuple[str, int], list[Said]] = {}
    for line in held.of("timed"):
        by_size.setdefault((str(line.get("op")), int(line.get("num_bytes", 0))), []).append(line)
    largest = {op: max(size for other, size in by_size if other == op) for op, _ in by_size}
    return [of_size(op, size, told, size == largest[op], held) for (op, size), told in by_size.items()]


def of_size(op: str, num_bytes: int, told: list[Said], is_largest: bool, held: Trial) -> Measurement:
    subject, where = f"{op} {bandwidth.size(num_bytes)}", "timed calls in the trial"
    if left := next((line["left"] for line in told if line.get("left")), ""):
        return skipped(subject, where, left)
    slowest = [max(turn) for turn in zip(*(line["seconds"] for line in told), strict=False)]
    if not slowest or min(slowest) <= 0:
        return skipped(subject, where, "no times were told")
    gbps = bandwidth.bus_gbps(op, num_bytes, held.num_ranks, median(slowest))
    about = next(iter(held.everyone().values()), {}).get("device", {})
    values: dict[str, Value] = {
        "op": op,
        "busbw_gbps": gbps,
        "median_s": round(median(slowest), 6),
        "p95_s": round(bandwidth.p95(slowest), 6),
        "num_bytes": num_bytes,
        "is_largest": is_largest,
        "device": held.device,
    }
    if held.device == "cuda":
        has_nvls = nccl_words.read(held.nccl).has_nvls
        values |= {"gpu_model": about.get("name", ""), "num_gpus": held.num_ranks, "has_nvls": has_nvls}
    return measured(subject, where, **values, **({f"{op}_gbps": gbps} if is_largest else {}))

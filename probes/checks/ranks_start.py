"""Whether ranks start, meet, move data and end, in the job's interpreter and environment."""

from probes.checking import machine, trial
from probes.checking.check import Check, Measurement, Target, measured, skipped
from probes.checking.trial import Trial
from probes.checking.trial_files import Said
from probes.nvml import reading

CHECK = Check("default", 300.0, ("torch",), trial.COST, "ranks", alone=True)
WHERE = "torchrun"
LAST = {
    "started": "it was to join the others",
    "joined": "it was to tell who it is",
    "arrived": "it was to end",
}


def measure(target: Target) -> list[Measurement]:
    if machine.see().num_gpus and reading.answers(target).hung:  # then torch would hang as well
        return [skipped("ranks", "the trial", reading.SEE_A00)]
    held = trial.held(target)
    return [of_rank(rank, held) for rank in range(held.num_ranks)]


def of_rank(rank: int, held: Trial) -> Measurement:
    mine = [line for line in held.said if line.get("rank") == rank]
    parts = {line["part"]: line for line in mine}
    is_through = bool(parts.keys() & {"ended", "hanging"})
    if not is_through and held.code is None and (slow := held.slow()):
        return skipped(f"rank {rank}", WHERE, f"{last(mine)} when its time was over; {slow}")
    return measured(
        f"rank {rank}",
        f"{WHERE} of {held.num_ranks} ranks ({'NCCL' if held.device == 'cuda' else 'gloo'})",
        is_through=is_through,
        was_ended_by_us=held.code is None,
        last="" if is_through else last(mine),
        launcher_says="" if is_through else held.words,
        joined_in_s=round(parts["joined"]["seconds"], 3) if "joined" in parts else None,
    )


def last(mine: list[Said]) -> str:
    """Where a rank was when nothing more was heard of it.

    >>> last([{"part": "joined"}, {"part": "entered", "op": "all_reduce", "num_bytes": 4096}])
    'in all_reduce of 4096 bytes'
    """
    if not mine:
        return "it never started"
    part = mine[-1]["part"]
    if part == "entered":
        num_bytes = mine[-1].get("num_bytes")
        return f"in {mine[-1].get('op')}" + (f" of {num_bytes} bytes" if num_bytes else "")
    return LAST.get(part, f"after {part}")

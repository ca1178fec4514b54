"""What NCCL's own diagnostics (2.31 and newer) found between GPUs while the trial's ranks met."""

from probes.checking import nccl_words, trial
from probes.checking.check import Measurement, Target, measured, skipped

CHECK = trial.follower(needs=("gpus",))
WHERE = f"{trial.DIAGNOSE}=1 in the trial"
MOST = 64  # pairs that are told one by one


def measure(target: Target) -> list[Measurement]:
    held = trial.held(target)
    if held.device != "cuda":
        return [skipped("host", WHERE, "the ranks did not use NCCL")]
    return told(held.diagnostics)


def told(text: str) -> list[Measurement]:
    """The summary, and each pair that failed."""
    found = nccl_words.diagnosed(text)
    if found is None:
        return [skipped("host", WHERE, "NCCL said nothing of it: it has diagnostics from 2.31 on")]
    pairs = [
        measured(f"rank {one} - rank {other}", WHERE, failure=how, path=path)
        for one, other, how, path in found.failed[:MOST]
    ]
    if found.num_tested is None:
        return pairs or [skipped("host", WHERE, found.notice or "NCCL expects no two GPUs to talk directly")]
    failed = found.num_tested - found.num_passed
    return [measured("host", WHERE, num_tested=found.num_tested, num_failed=failed), *pairs]

"""Whether NCCL uses multicast of the NVSwitch (NVLS)."""

from probes.checking import nccl_words, trial
from probes.checking.check import Measurement, Target, measured, skipped

CHECK = trial.follower(needs=("gpus",))
WHERE = "NCCL_DEBUG=INFO of the trial"


def measure(target: Target) -> list[Measurement]:
    held = trial.held(target)
    chosen = nccl_words.read(held.nccl)
    if chosen.has_nvls is None:
        return [skipped("host", WHERE, "NCCL said nothing of NVLS")]
    about = next(iter(held.everyone().values()), {}).get("device", {})
    return [
        measured(
            "host",
            WHERE,
            has_nvls=chosen.has_nvls,
            num_nvls_channels=chosen.num_nvls_channels,
            gpu_model=about.get("name", ""),
            num_gpus=held.num_ranks,
        )
    ]

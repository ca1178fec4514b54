"""Settings that libraries take from the environment, one measurement each, with where each was set."""

from collections.abc import Iterator, Sequence

from probes import redact
from probes.checking import origin
from probes.checking.check import Measurement, Target, measured

PREFIXES = ("NCCL_", "TORCH", "CUDA_", "PYTORCH_", "TRITON_", "FSDP_", "GLOO_", "HF_", "XFORMERS_")
ALONE = ("LD_LIBRARY_PATH", "OMP_NUM_THREADS", "TOKENIZERS_PARALLELISM", "LD_PRELOAD")
LONGEST = 300


def told(target: Target, also: Sequence[str] = ()) -> list[Measurement]:
    """Those that are set; `also` are further values that thresholds may ask for."""
    extra = {name: target.settings.get(name) for name in also}
    return list(each(target, extra)) or [measured("environment", "environment", name="", value="", **extra)]


def each(target: Target, extra: dict[str, float | None]) -> Iterator[Measurement]:
    for name, value in sorted(setting(target).items()):
        where = origin.of(name, target.command, target.environ)
        shown = "<redacted>" if redact.is_secret_name(name) else redact.redact(value)[:LONGEST]
        yield measured(name, where, name=name, value=shown, num_nodes=target.num_nodes, **extra)


def setting(target: Target) -> dict[str, str]:
    """What the job will have: its environment, and what its command line puts before the program."""
    found = {**target.environ, **origin.prefix(target.command)}
    return {name: value for name, value in found.items() if name.startswith(PREFIXES) or name in ALONE}

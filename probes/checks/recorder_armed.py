"""Whether torch's flight recorder will be there when ranks fall silent, and whether its dump will last."""

import os

from probes.checking.check import Check, Measurement, Target, measured

CHECK = Check()
SIZE = ("TORCH_FR_BUFFER_SIZE", "TORCH_NCCL_TRACE_BUFFER_SIZE")
FILE = ("TORCH_FR_DUMP_TEMP_FILE", "TORCH_NCCL_DEBUG_INFO_TEMP_FILE")
DUMP = "TORCH_NCCL_DUMP_ON_TIMEOUT"
YES = {"1", "y", "yes", "t", "true", "on"}


def measure(target: Target) -> list[Measurement]:
    environ = target.environ
    size = next((environ[name] for name in SIZE if name in environ), "")
    prefix = next((environ[name] for name in FILE if name in environ), "")
    folder = os.path.dirname(prefix)
    return [
        measured(
            "environment",
            f"{SIZE[0]}, {FILE[0]}, {DUMP}",
            num_entries=int(size) if size.isdigit() else 0,
            dumps_on_timeout=environ.get(DUMP, "").lower() in YES,
            dump_prefix=prefix,
            can_write=os.access(folder, os.W_OK) if prefix and os.path.isdir(folder) else None,
        )
    ]

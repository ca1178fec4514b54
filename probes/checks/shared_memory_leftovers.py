"""Whether `/dev/shm` can be written, how full it is, and what earlier jobs left in it."""

import os
import tempfile

from probes.checking.check import Check, Measurement, Target, measured, skipped

CHECK = Check()
FOLDER = "/dev/shm"
LEFT = ("nccl-", "torch_", "psm_", "sem.")  # how NCCL, torch and multiprocessing name their segments


def measure(target: Target) -> list[Measurement]:
    where = f"a file made in {FOLDER}"
    try:
        now, names = os.statvfs(FOLDER), os.listdir(FOLDER)
    except OSError as error:
        return [skipped(FOLDER, where, error.strerror or str(error))]
    used = 1 - now.f_bfree / now.f_blocks if now.f_blocks else None
    left = sum(name.startswith(LEFT) for name in names)
    return [
        measured(FOLDER, where, refusal=refusal(FOLDER), used_share=used, num_left=left),
    ]


def refusal(folder: str) -> str:
    """Why a file cannot be made, written and removed in a folder; empty where it can."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\0" * 4096)
            file.flush()
    except OSError as error:
        return error.strerror or str(error)
    return ""

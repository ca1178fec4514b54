"""Whether a data loader with the job's number of workers gives its first batch, with data of no meaning."""

from probes.checking import interpreter
from probes.checking.check import Check, Measurement, Target, measured, skipped

CHECK = Check(
    "default",
    90.0,
    needs=("torch",),
    cost=("signals",),
    asks={"loader_workers": "workers of each rank's data loader", "batch_bytes": "bytes of one batch"},
)
LIMIT_S = 75.0
MOST_WORKERS = 64
PROGRAM = """
import json, sys, time
import torch
from torch.utils.data import DataLoader, Dataset
num, size = %d, %d
class Rows(Dataset):
    def __len__(self): return 4 * max(num, 1)
    def __getitem__(self, row): return torch.zeros(max(size // 4, 1), dtype=torch.uint8)
begun = time.monotonic()
refusal = ""
try:
    loader = DataLoader(Rows(), batch_size=4, num_workers=num, timeout=60 if num else 0)
    for batch in loader:
        break
except Exception as error:
    refusal = f"{type(error).__name__}: {error}"[:300]
print(json.dumps([refusal, time.monotonic() - begun]), flush=True)
"""


def measure(target: Target) -> list[Measurement]:
    wanted = target.settings.get("loader_workers")
    if wanted is None:
        reason = "nobody said how many workers a loader has (--set loader_workers=NUMBER)"
        return [skipped("data loader", "torch.utils.data.DataLoader", reason)]
    num, size = min(int(wanted), MOST_WORKERS), int(target.settings.get("batch_bytes") or 1 << 20)
    where = f"a DataLoader with {num} workers in a child"
    try:
        refusal, took = interpreter.ask(target, PROGRAM % (num, size), LIMIT_S)
    except interpreter.NoAnswer as error:
        if error.in_time:
            return [skipped("data loader", where, str(error))]
        return [measured("data loader", where, num_workers=num, refusal=str(error), took_s=LIMIT_S)]
    return [measured("data loader", where, num_workers=num, refusal=refusal, took_s=round(took, 3))]

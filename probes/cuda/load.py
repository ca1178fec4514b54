"""Run by the job's interpreter: multiply matrices on a device for a while, and compare all bits of them.

The entries are small whole numbers: every sum is exact, however the device adds up, and one wrong bit shows.
"""

import json
import sys
import time
from typing import Any

SIZE, LARGEST = 4096, 7  # sums stay below 2 ** 24, where single precision is exact


def load(device: str, seconds: float, size: int = SIZE) -> "dict[str, Any]":
    """How many products were made, and how many differ from the one that the CPU made of the same numbers."""
    import torch

    torch.manual_seed(0)
    torch.backends.cuda.matmul.allow_tf32 = True  # the tensor cores are to be tested, too
    left, right = (torch.randint(0, LARGEST + 1, (size, size)).float() for _ in range(2))
    some = slice(0, size, max(1, size // 64))  # rows that the CPU computes
    wanted = left[some] @ right
    on_device = [one.to(device) for one in (left, right, wanted)]
    first = on_device[0] @ on_device[1]
    num_rounds, num_wrong = 1, int(not torch.equal(first[some], on_device[2]))
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        num_rounds += 1
        num_wrong += not torch.equal(on_device[0] @ on_device[1], first)
    return {"num_rounds": num_rounds, "num_wrong": num_wrong, "error": ""}


if __name__ == "__main__":
    try:
        said = load(sys.argv[1], float(sys.argv[2]))
    except Exception as error:  # whatever it is, it is the answer
        said = {"num_rounds": 0, "num_wrong": 0, "error": f"{type(error).__name__}: {error}"[:300]}
    print(json.dumps(said))

"""Nothing: rank 2 of 3 is started 8 s after the others, which wait for it in the rendezvous."""

import os
import time

import ranks
import torch
import training
from torch.nn.parallel import DistributedDataParallel

DRILL = {
    "expect": {"failure": None, "ranks": []},
    "symptom": "slow",
    "ends": "ok",
    "num_ranks": 3,
    "launcher": "plain",
    "stall_after_s": 4,
    "timeout_s": 240,
    "needs": ["torch"],
}


def main(rank: int) -> None:
    training.join(rank, timeout_s=60)
    model = DistributedDataParallel(training.network())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for num, batch in enumerate(training.batches(rank, num=20)):
        training.report(rank, num, training.step(model, optimizer, batch))
    training.leave()


if __name__ == "__main__":
    if "RANK" in os.environ:
        training.launch(main)
    else:
        port = ranks.free_port()
        first = [ranks.start(rank, 3, port) for rank in range(2)]
        time.sleep(8)
        ranks.wait([*first, ranks.start(2, 3, port)])

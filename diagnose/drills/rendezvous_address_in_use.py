"""Another job's store still listens at the port of a job of 2 ranks: rank 0 cannot serve its own there."""

import os
import subprocess
import sys
import time

import ranks
import torch
import torch.distributed as dist
import training
from torch.nn.parallel import DistributedDataParallel

DRILL = {
    "expect": {"failure": "rendezvous_address_in_use", "ranks": []},
    "symptom": "will_not_start",
    "ends": "error",
    "num_ranks": 2,
    "launcher": "plain",
    "stall_after_s": 4,
    "timeout_s": 240,
    "needs": ["torch"],
}


def serve(port: int) -> None:
    """The store of an earlier job, which has not ended yet."""
    store = dist.TCPStore("127.0.0.1", port, is_master=True, wait_for_workers=False)
    store.set("ready", "1")
    print("ready", flush=True)
    time.sleep(60)


def main(rank: int) -> None:
    training.join(rank, timeout_s=10)
    model = DistributedDataParallel(training.network())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for num, batch in enumerate(training.batches(rank, num=20)):
        training.report(rank, num, training.step(model, optimizer, batch))
    training.leave()


if __name__ == "__main__":
    if "RANK" in os.environ:
        training.launch(main)
    elif len(sys.argv) > 1:
        serve(int(sys.argv[1]))
    else:
        port = ranks.free_port()
        earlier = subprocess.Popen([sys.executable, sys.argv[0], str(port)], stdout=subprocess.PIPE)
        assert earlier.stdout is not None
        earlier.stdout.readline()
        try:
            ranks.wait([ranks.start(rank, 2, port) for rank in range(2)])
        finally:
            earlier.kill()
            earlier.wait()

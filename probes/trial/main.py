"""The ranks of a trial: they meet, tell who they are, move data, and hang on purpose at the end if asked to.

Run under torchrun with the job's own interpreter: torch and the standard library alone, Python 3.9.
Every rank adds lines to a file of its own, so that one that hangs leaves what it had said by then.
"""

import json
import os
import sys
import time
from datetime import timedelta

import collectives
import compiled
import gpu
import hanging
import identity
import torch
import torch.distributed as dist


class Report:
    """Appends one JSON object a line, each at once."""

    def __init__(self, folder, rank):
        self.path, self.rank = os.path.join(folder, f"rank-{rank}.jsonl"), rank
        with open(self.path, "w") as file:  # an earlier attempt's
            os.fsync(file.fileno())

    def say(self, part, **data):
        line = json.dumps({"part": part, "rank": self.rank, "time": time.time(), **data}, default=str)
        with open(self.path, "a") as file:
            file.write(line + "\n")


def main(options):
    rank, local = int(os.environ["RANK"]), int(os.environ.get("LOCAL_RANK", "0"))
    torch.set_num_threads(1)
    report = Report(options["out"], rank)
    num_local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    is_cuda = (
        options["device"] == "cuda" and torch.cuda.is_available() and torch.cuda.device_count() >= num_local
    )
    device = torch.device("cuda", local) if is_cuda else torch.device("cpu")
    if is_cuda:
        torch.cuda.set_device(device)
    report.say("started", pid=os.getpid())
    begun = time.perf_counter()
    backend = "nccl" if is_cuda else "gloo"
    dist.init_process_group(backend, timeout=timedelta(seconds=options["timeout_s"]))
    report.say("joined", seconds=time.perf_counter() - begun, backend=backend)
    identity.tell(report, options, is_cuda)
    collectives.correct(report, device)
    collectives.fast(report, device, options)
    collectives.arrive(report, device)
    if options["gpu"] and torch.cuda.is_available():
        gpu.measure(report, local)
    if options["compile"]:
        compiled.measure(report, device)
    if options["hang"]:
        hanging.hang(report, rank, device)
    dist.barrier()
    report.say("ended")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))

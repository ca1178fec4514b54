"""Two real gloo ranks that fail in one chosen way: what `take.py` takes the samples from. Never imported."""

import datetime
import faulthandler
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch
import torch.distributed as dist
from torch.distributed.elastic.multiprocessing.errors import record


def dump(out: str, rank: int) -> None:
    """All evidence of this rank while it may be stuck, from a thread."""
    from torch._C._distributed_c10d import _dump_fr_trace, _dump_fr_trace_json

    folder = Path(out)
    (folder / f"fr-rank-{rank}.json").write_bytes(_dump_fr_trace_json(True, False))
    (folder / f"fr-rank-{rank}.pickle").write_bytes(_dump_fr_trace(True, True, False))
    with (folder / f"faulthandler-rank-{rank}.txt").open("w") as file:
        faulthandler.dump_traceback(file, all_threads=True)
    py_spy = str(Path(sys.executable).with_name("py-spy"))
    for name, extra in ((f"py-spy-rank-{rank}.json", ["--json"]), (f"py-spy-rank-{rank}.txt", [])):
        found = subprocess.run(
            [py_spy, "dump", "--nonblocking", "--pid", str(os.getpid()), *extra], capture_output=True
        )
        (folder / name).write_bytes(found.stdout or found.stderr)


def fail(how: str, rank: int) -> None:
    """Only rank 1 fails, in one way."""
    if rank != 1:
        return
    if how == "raise":
        try:
            {}["batch"]
        except KeyError as error:
            raise ValueError("loss is not finite\nstep 6") from error
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "exit":
        sys.exit(3)
    if how == "late":
        time.sleep(6)


@record
def main() -> None:
    run(sys.argv[1], sys.argv[2], int(os.environ["RANK"]))


def spawned(rank: int, how: str, out: str) -> None:
    run(how, out, rank)


def run(how: str, out: str, rank: int) -> None:
    import threading

    dist.init_process_group("gloo", rank=rank, world_size=2, timeout=datetime.timedelta(seconds=4))
    for _ in range(5):
        dist.all_reduce(torch.ones(1000))
    print(f"rank {rank} step 5", flush=True)
    if how == "late":
        threading.Timer(2.0, dump, (out, rank)).start()
    fail(how, rank)
    size = 500 if how == "mismatch" and rank == 1 else 1000
    dist.all_reduce(torch.ones(size))
    dist.barrier()


if __name__ == "__main__":
    if "RANK" in os.environ:
        main()
    else:
        import torch.multiprocessing as mp

        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29531"}
        mp.spawn(spawned, args=(sys.argv[1], sys.argv[2]), nprocs=2)

"""Collectives between the ranks of a trial: right results, how long they take by size, who comes late."""

import ctypes
import hashlib
import time

import torch
import torch.distributed as dist

NUM_WARM, NUM_TIMED = 5, 20
NUM_ELEMENTS = 16 * 1024  # of each rank's part, where results are compared
NUM_ROUNDS = 20


def part(rank, size, device, num=NUM_ELEMENTS):
    """Whole numbers below 2**10: their sum over thousands of ranks is exact in any order."""
    source = torch.Generator().manual_seed(1 + rank)
    return torch.randint(0, 1024, (size * num,), generator=source).float().to(device)


def all_reduce(mine):
    dist.all_reduce(mine)
    return mine


def all_gather(mine):
    size = dist.get_world_size()
    whole = mine.new_empty(mine.numel())
    dist.all_gather_into_tensor(whole, mine[: mine.numel() // size].contiguous())
    return whole


def reduce_scatter(mine):
    left = mine.new_empty(mine.numel() // dist.get_world_size())
    dist.reduce_scatter_tensor(left, mine)
    return left


def all_to_all(mine):
    whole = torch.empty_like(mine)
    dist.all_to_all_single(whole, mine)
    return whole


def send_recv(mine):
    """To the next rank, from the one before."""
    rank, size = dist.get_rank(), dist.get_world_size()
    got = torch.empty_like(mine)
    sent = dist.P2POp(dist.isend, mine, (rank + 1) % size)
    received = dist.P2POp(dist.irecv, got, (rank - 1) % size)
    for work in dist.batch_isend_irecv([sent, received]):
        work.wait()
    return got


OPS = {
    "all_reduce": all_reduce,
    "all_gather": all_gather,
    "reduce_scatter": reduce_scatter,
    "all_to_all": all_to_all,
    "send_recv": send_recv,
}


def wanted(op, device):
    """What `op` must give here, computed without it."""
    rank, size = dist.get_rank(), dist.get_world_size()
    parts = [part(one, size, "cpu") for one in range(size)]
    if op == "all_reduce":
        whole = torch.stack(parts).sum(0)
    elif op == "all_gather":
        whole = torch.cat([one[:NUM_ELEMENTS] for one in parts])
    elif op == "reduce_scatter":
        whole = torch.stack(parts).sum(0).view(size, -1)[rank]
    elif op == "all_to_all":
        whole = torch.cat([one.view(size, -1)[rank] for one in parts])
    else:
        whole = parts[rank - 1]
    return whole


def correct(report, device):
    """Each collective once, against what it must give; results that must be alike are told as a hash."""
    rank, size = dist.get_rank(), dist.get_world_size()
    for op, call in OPS.items():
        report.say("entered", op=op)
        try:
            found = call(part(rank, size, device)).cpu()
        except (RuntimeError, NotImplementedError) as error:
            report.say("result", op=op, refusal=first_line(error))
            continue
        is_right = torch.equal(found, wanted(op, device))
        report.say("result", op=op, is_right=is_right, digest=digest(found))


def digest(tensor):
    found = tensor.contiguous()
    data = ctypes.string_at(found.data_ptr(), found.numel() * found.element_size())
    return hashlib.sha256(data).hexdigest()[:16]


def first_line(error):
    return (str(error).splitlines() or [type(error).__name__])[0][:300]


def settle(device):
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def timed(call, mine, device, num):
    """Seconds of each of `num` calls; all ranks begin each one together."""
    found = []
    for _ in range(num):
        dist.barrier()
        settle(device)
        begun = time.perf_counter()
        call(mine)
        settle(device)
        found.append(time.perf_counter() - begun)
    return found


def longest(seconds, device):
    """The same answer in every rank, so that all of them stop at the same place."""
    told = torch.tensor([seconds], dtype=torch.float32, device=device)
    dist.all_reduce(told, op=dist.ReduceOp.MAX)
    return told.item()


def fast(report, device, options):
    """Seconds of every collective at every size, as far as the time box reaches."""
    size = dist.get_world_size()
    end = options["box_s"] / (len(OPS) * len(options["sizes"]))  # of one collective at one size
    for op, call in OPS.items():
        for num_bytes in options["sizes"]:
            mine = torch.ones(num_bytes // 4 // size * size, device=device)
            report.say("entered", op=op, num_bytes=num_bytes)
            try:
                warm = timed(call, mine, device, NUM_WARM)
            except (RuntimeError, NotImplementedError):
                break  # `correct` has told why
            if longest(min(warm), device) * NUM_TIMED > 4 * end:
                report.say(
                    "timed", op=op, num_bytes=num_bytes, left="it would take longer than the time for it"
                )
                break
            seconds = timed(call, mine, device, NUM_TIMED)
            report.say("timed", op=op, num_bytes=mine.numel() * 4, seconds=seconds)
            del mine


def arrive(report, device):
    """The same work in every rank between two meetings: how long each takes until it would be there again."""
    width = 2048 if device.type == "cuda" else 128
    left = torch.ones(width, width, device=device) / width
    num = 20 if device.type == "cuda" else 8
    rounds = []
    for turn in range(NUM_ROUNDS + NUM_WARM):
        dist.barrier()
        settle(device)
        begun = time.perf_counter()
        found = left
        for _ in range(num):
            found = found @ left
        settle(device)
        if turn >= NUM_WARM:
            rounds.append(time.perf_counter() - begun)
    report.say("arrived", seconds=rounds)

"""Speed of each rank's GPU by itself and of copies to its peers; every buffer is freed at once."""

import time

import torch
import torch.distributed as dist

NUM_WARM, NUM_TIMED = 3, 10
MIB = 1 << 20
PEER_BYTES, HOST_BYTES, MEMORY_BYTES = 256 * MIB, 256 * MIB, 512 * MIB
WIDTH = 8192


def measure(report, local):
    """What stays on a GPU runs on all of them at once; then one rank after the other copies to its peers."""
    num_gpus = torch.cuda.device_count()
    own = torch.device("cuda", local) if local < num_gpus else None
    for name, part in (("gemm", gemm), ("host_copy", host_copy), ("memory", memory)):
        dist.barrier()
        if own:
            said(report, name, part, own)
    for turn in range(dist.get_world_size()):
        dist.barrier()
        for peer in range(num_gpus) if own and turn == dist.get_rank() else ():
            if peer != local:
                said(report, "peer_copy", peer_copy, own, torch.device("cuda", peer))


def said(report, name, part, own, *peers):
    about = {"index": own.index, "model": torch.cuda.get_device_name(own)}
    about["num_gpus"] = torch.cuda.device_count()
    if peers:
        about["peer"] = peers[0].index
    try:
        report.say(name, **about, **part(own, *peers))
    except RuntimeError as error:
        report.say(name, **about, refusal=(str(error).splitlines() or [""])[0][:300])


def seconds(call, device):
    for _ in range(NUM_WARM):
        call()
    torch.cuda.synchronize(device)
    found = []
    for _ in range(NUM_TIMED):
        begun = time.perf_counter()
        call()
        torch.cuda.synchronize(device)
        found.append(time.perf_counter() - begun)
    return found


def gemm(device):
    left = torch.randn(WIDTH, WIDTH, device=device, dtype=torch.bfloat16)
    out = torch.empty_like(left)
    return {"width": WIDTH, "seconds": seconds(lambda: torch.mm(left, left, out=out), device)}


def host_copy(device):
    host = torch.empty(HOST_BYTES, dtype=torch.uint8, pin_memory=True)
    there = torch.empty(HOST_BYTES, dtype=torch.uint8, device=device)
    return {
        "num_bytes": HOST_BYTES,
        "to_device": seconds(lambda: there.copy_(host, non_blocking=True), device),
        "to_host": seconds(lambda: host.copy_(there, non_blocking=True), device),
    }


def memory(device):
    """A copy within the GPU reads and writes every byte."""
    first = torch.empty(MEMORY_BYTES, dtype=torch.uint8, device=device)
    second = torch.empty_like(first)
    return {"num_bytes": 2 * MEMORY_BYTES, "seconds": seconds(lambda: second.copy_(first), device)}


def peer_copy(device, peer):
    """A pattern goes over and comes back by way of the host: a bad path drops data and reports success."""
    pattern = torch.arange(PEER_BYTES // 8, device=device, dtype=torch.int64)
    there = torch.zeros_like(pattern, device=peer)
    there.copy_(pattern)
    torch.cuda.synchronize(peer)
    is_right = torch.equal(there.cpu(), pattern.cpu())
    found = seconds(lambda: there.copy_(pattern), device)
    return {
        "num_bytes": PEER_BYTES,
        "is_right": is_right,
        "has_access": torch.cuda.can_device_access_peer(device, peer),
        "seconds": found,
    }

"""Who each rank is: exchanged through the store alone, so that it is known before any data moves."""

import hashlib
import heapq
import json
import os
import platform
import socket
import subprocess
import time
from contextlib import suppress

import torch
import torch.distributed as dist

NUM_ROUNDS = 5
LIMIT_S = 10.0  # for one connection
NUM_FILES = 256
HEAD = 64 * 1024
PREFIXES = ("NCCL_", "TORCH", "CUDA_", "PYTORCH_", "TRITON_", "FSDP_", "GLOO_")
OWN = {  # a launcher sets these for every rank by itself; ours are the trial's
    *("TORCHELASTIC_ERROR_FILE", "TORCH_NCCL_ASYNC_ERROR_HANDLING", "TORCHELASTIC_SIGNALS_TO_HANDLE"),
    *("NCCL_DEBUG", "NCCL_DEBUG_SUBSYS", "NCCL_DEBUG_FILE", "CUDA_VISIBLE_DEVICES"),
}


def tell(report, options, is_cuda):
    """Rank 0 says what all of them told the store."""
    store = dist.distributed_c10d._get_default_store()
    rank, size = dist.get_rank(), dist.get_world_size()
    mine = {
        "world": world(),
        "versions": versions(is_cuda, options["images"]),
        "device": device(is_cuda),
        "node": node(),
        "environment": environment(),
        "master": master(options),
        "folders": [folder(path, rank) for path in options["folders"]],
    }
    report.say("identity", **mine)
    store.set(f"trial/{rank}", json.dumps(mine))
    if rank == 0:
        everyone = {one: json.loads(store.get(f"trial/{one}")) for one in range(size)}
        report.say("everyone", ranks=everyone)
    clocks(report, store, rank, size)


def world():
    names = (
        "RANK",
        "LOCAL_RANK",
        "WORLD_SIZE",
        "LOCAL_WORLD_SIZE",
        "GROUP_RANK",
        "MASTER_ADDR",
        "MASTER_PORT",
    )
    return {name: os.environ.get(name, "") for name in names}


def versions(is_cuda, images):
    nccl = ".".join(map(str, torch.cuda.nccl.version())) if is_cuda else ""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda or "",
        "nccl": nccl,
        "driver": driver(),
        "image": next((os.environ[name] for name in images if os.environ.get(name)), ""),
        "commit": commit(),
    }


def driver():
    try:
        with open("/proc/driver/nvidia/version") as file:
            words = file.readline().split()
    except OSError:
        return ""
    return next((word for word in words if word.count(".") >= 1 and word[0].isdigit()), "")


def commit():
    """The revision of the folder that the ranks start in; empty where it is under none."""
    try:
        told = subprocess.run(
            ["git", "rev-parse", "HEAD"], stdin=subprocess.DEVNULL, capture_output=True, timeout=5
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return told.stdout.decode(errors="replace").strip() if told.returncode == 0 else ""


def device(is_cuda):
    """The GPU under this rank's number; no context is made for it beyond what the group has."""
    if not is_cuda:
        return {"uuid": "", "bus": "", "num_seen": 0, "index": None}
    index = torch.cuda.current_device()
    about = torch.cuda.get_device_properties(index)
    return {
        "uuid": str(getattr(about, "uuid", "")),
        "bus": str(getattr(about, "pci_bus_id", "")),
        "name": about.name,
        "num_seen": torch.cuda.device_count(),
        "index": index,
    }


def node():
    return {"host_id": os.environ.get("NCCL_HOSTID", ""), "hostname": socket.gethostname(), "boot": boot()}


def boot():
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""


def environment():
    """What settings of the libraries come to, as short hashes: values may be secret."""
    kept = {n: v for n, v in os.environ.items() if n.startswith(PREFIXES) and n not in OWN}
    return {name: hashlib.sha256(value.encode()).hexdigest()[:12] for name, value in sorted(kept.items())}


def master(options):
    """Does the job's rendezvous address resolve here, and does rank 0's port answer?"""
    name = options["master"] or os.environ.get("MASTER_ADDR", "")
    found = {"name": name, "addresses": [], "refusal": "", "reach": "ok"}
    try:
        found["addresses"] = sorted(
            {one[4][0] for one in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)}
        )
    except OSError as error:
        found["refusal"] = error.strerror or str(error)
    at = os.environ.get("MASTER_ADDR", ""), int(os.environ.get("MASTER_PORT") or 0)
    begun = time.perf_counter()
    try:
        socket.create_connection(at, LIMIT_S).close()
    except OSError as error:
        found["reach"] = error.strerror or str(error) or type(error).__name__
    found["seconds"] = time.perf_counter() - begun
    return found


def folder(path, rank):
    """Can this rank write there, and what does it see of the files that lie there?"""
    # A name of the kind that the checks remove where a killed one left it (places.shared_name).
    own = os.path.join(path, f".diagnose-{os.uname().nodename}-{os.getpid()}-trial-{rank}")
    found = {"path": path, "refusal": "", "seconds": 0.0, "num_files": 0, "digest": ""}
    begun = time.perf_counter()
    try:
        with open(own, "wb") as file:
            file.write(b"\0" * 4096)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        found["refusal"] = error.strerror or str(error)
    with suppress(OSError):  # also where the disk was full
        os.unlink(own)
    found["seconds"] = time.perf_counter() - begun
    found["num_files"], found["digest"] = contents(path)
    return found


def contents(path):
    """How many files lie there (to a bound), and a hash of names, sizes and heads."""
    told, num = hashlib.sha256(), 0
    try:
        names = (one.name for one in os.scandir(path) if one.is_file() and not one.name.startswith("."))
        for name in heapq.nsmallest(NUM_FILES, names):  # a folder may hold millions
            at = os.path.join(path, name)
            told.update(f"{name} {os.stat(at).st_size}\n".encode())
            with open(at, "rb") as file:
                told.update(file.read(HEAD))
            num += 1
    except OSError as error:
        return num, f"unreadable: {error.strerror or error}"
    return num, told.hexdigest()[:16]


def clocks(report, store, rank, size):
    """Each rank asks rank 0 for its time; the answer that came back fastest tells the offset best."""
    if rank == 0:
        for other in range(1, size):
            for turn in range(NUM_ROUNDS):
                store.wait([f"ask/{other}/{turn}"])
                store.set(f"time/{other}/{turn}", repr(time.time()))
        report.say("clock", offset_s=0.0, uncertain_s=0.0)
        return
    best = None
    for turn in range(NUM_ROUNDS):
        begun = time.time()
        store.set(f"ask/{rank}/{turn}", "1")
        told = float(store.get(f"time/{rank}/{turn}"))
        ended = time.time()
        if best is None or ended - begun < best[0]:
            best = ended - begun, (begun + ended) / 2 - told
    report.say("clock", offset_s=best[1], uncertain_s=best[0] / 2)

"""How long each rank takes to compile the same small graph, from an empty cache of its own."""

import tempfile
import time

import torch


def measure(report, device):
    begun = time.perf_counter()
    report.say("compiling")
    try:
        with tempfile.TemporaryDirectory(prefix="diagnose-trial-") as folder:
            seconds = compile_in(folder, device)
    except Exception as error:  # whatever the compiler raises is the finding
        told = (str(error).strip().splitlines() or [""])[0][:300]
        report.say("compiled", refusal=f"{type(error).__name__}: {told}", seconds=time.perf_counter() - begun)
    else:
        report.say("compiled", seconds=seconds)


def compile_in(folder, device):
    import os

    os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder
    os.environ["TRITON_CACHE_DIR"] = os.path.join(folder, "triton")
    model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.GELU(), torch.nn.Linear(64, 1)).to(device)
    rows = torch.ones(16, 64, device=device)
    begun = time.perf_counter()
    torch.compile(model)(rows).sum().backward()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - begun

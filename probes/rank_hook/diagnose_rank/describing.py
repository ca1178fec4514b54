"""What a rank runs with: packages, variables, its GPU, what the compiler did, its memory.

Of the program's modules it imports none.
"""

import os
import sys

from . import names, settings, state
from .session import emit, me

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Kernels from elsewhere, and frameworks that share a model among ranks themselves.
_PACKAGES = (
    *(
        "apex",
        "bitsandbytes",
        "causal_conv1d",
        "flash_attn",
        "flash_attn_interface",
        "flashinfer",
        "liger_kernel",
    ),
    *("mamba_ssm", "torchao", "transformer_engine", "triton", "vllm", "xformers"),
    *(
        "accelerate",
        "deepspeed",
        "lightning",
        "megatron.core",
        "pytorch_lightning",
        "torchtitan",
        "transformers",
    ),
)
_COUNTS = {
    "graphs": ("stats", "unique_graphs"),
    "frames": ("frames", "total"),
    "frames_compiled": ("frames", "ok"),
}
_CACHES = {
    "graph_cache_hits": ("inductor", "fxgraph_cache_hit"),
    "graph_cache_misses": ("inductor", "fxgraph_cache_miss"),
    "autograd_cache_hits": ("aot_autograd", "autograd_cache_hit"),
    "autograd_cache_misses": ("aot_autograd", "autograd_cache_miss"),
}


def at_first_step() -> None:
    """What is loaded by now is what the run rests on."""
    told: "dict[str, Any]" = {"packages": packages(), "variables": variables(), "nccl": nccl(), "gpu": gpu()}
    emit("rank.described", when="first_step", **told)


def at_exit() -> None:
    """Said before `rank.exiting`: of a rank that is killed it is missing, and so is the end of its memory."""
    told: "dict[str, Any]" = {"packages": packages(), "nccl": nccl(), "compiler": compiler(), **memory()}
    emit("rank.described", when="exit", variables=variables(), **told)
    telling = sys.modules.get(f"{__package__}.telling")
    if telling is not None:
        telling.flush()
    if me.is_rank():
        timed: "dict[str, Any] | None" = state.timings(names.state_path(me.spool, me.attempt, me.rank))
        if timed is not None:
            emit("steps.timed", **timed)


def packages() -> "dict[str, str]":
    """Those that are loaded, with their versions: empty where a package does not say. No module is asked."""
    found = {}
    for name in _PACKAGES:
        module = sys.modules.get(name)
        if module is not None:
            version = getattr(module, "__dict__", {}).get("__version__")
            found[name.partition(".")[0]] = version[:60] if isinstance(version, str) else ""
    return found


def variables() -> "dict[str, str]":
    """As they are by now, without secrets."""
    return settings.of_rank(os.environ, me.spool)


def nccl() -> "str | None":
    """The version that torch has linked; None in a torch without NCCL."""
    ask = getattr(sys.modules.get("torch._C"), "_nccl_version", None)
    told = None if ask is None else ask()
    if isinstance(told, int):
        return f"{told >> 32}.{told >> 16 & 65535}.{told & 65535}"
    return None


def gpu() -> "dict[str, object] | None":
    """The rank's current device; None where the program has not touched a GPU."""
    cuda: Any = sys.modules.get("torch.cuda")
    if cuda is None or not cuda.is_initialized():
        return None
    index = cuda.current_device()
    device = cuda.get_device_properties(index)
    uuid = getattr(device, "uuid", None)
    return {
        "index": index,
        "name": str(device.name),
        "memory": int(device.total_memory),
        "uuid": None if uuid is None else str(uuid),
        "num_visible": cuda.device_count(),
    }


def compiler() -> "dict[str, int] | None":
    """The compiler's own counters; None where it was not used."""
    counters = getattr(sys.modules.get("torch._dynamo.utils"), "counters", None)
    if not counters:
        return None
    # By `get`: to index would add to what is counted.
    told = {
        key: counters.get(group, {}).get(name, 0) for key, (group, name) in {**_COUNTS, **_CACHES}.items()
    }
    told["graph_breaks"] = sum((counters.get("graph_break") or {}).values())
    return {key: int(value) for key, value in told.items()}


def memory() -> "dict[str, int]":
    """Peaks in bytes: `peak_rss`, and of the allocator where a GPU was used."""
    told = {}
    with open("/proc/self/status", "rb") as file:
        found = file.read().partition(b"VmHWM:")[2].split(None, 1)
    if found and found[0].isdigit():
        told["peak_rss"] = int(found[0]) * 1024
    cuda: Any = sys.modules.get("torch.cuda")
    if cuda is not None and cuda.is_initialized():
        told["peak_allocated"] = int(cuda.max_memory_allocated())
        told["peak_reserved"] = int(cuda.max_memory_reserved())
    return told

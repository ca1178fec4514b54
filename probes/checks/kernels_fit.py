"""Whether the number formats and attention kernels of the job exist for these GPUs."""

from probes.checking import interpreter
from probes.checking.check import Check, Measurement, Target, measured, skipped

CHECK = Check(
    "default",
    70.0,
    needs=("gpu", "torch"),
    asks={
        "fp8": "1 where the job computes in FP8",
        "bf16": "1 where the job computes in BF16",
        "flash_attention": "3 where the job needs FlashAttention 3",
    },
)
LIMIT_S = 60.0
PROGRAM = """
import importlib.util, json, torch
devices = [torch.cuda.get_device_capability(n) for n in range(torch.cuda.device_count())]
print(json.dumps([devices, importlib.util.find_spec("flash_attn_interface") is not None]))
"""


def measure(target: Target) -> list[Measurement]:
    where = "torch.cuda.get_device_capability, packages"
    try:
        devices, has_fa3 = interpreter.ask(target, PROGRAM, LIMIT_S)
    except interpreter.NoAnswer as error:
        return [skipped("host", where, str(error))]
    wanted = {name: target.settings.get(name) for name in CHECK.asks}
    found = [
        measured(f"gpu {gpu}", where, capability=major * 10 + minor, has_fa3=has_fa3, **wanted)
        for gpu, (major, minor) in enumerate(devices)
    ]
    return found or [skipped("host", where, "torch sees no GPU")]

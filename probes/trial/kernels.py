"""Import one package of fused kernels and launch something tiny, by itself: the name is the first argument.

Prints one JSON object: what was imported, its version, why it could not be, whether a kernel ran.
"""

import importlib
import json
import sys
import time


def flash_attn(torch):
    from flash_attn import flash_attn_func

    rows = torch.ones(1, 16, 1, 64, device="cuda", dtype=torch.bfloat16)
    return flash_attn_func(rows, rows, rows)


def xformers(torch):
    from xformers.ops import memory_efficient_attention

    rows = torch.ones(1, 16, 1, 64, device="cuda", dtype=torch.bfloat16)
    return memory_efficient_attention(rows, rows, rows)


def transformer_engine(torch):
    import transformer_engine.pytorch as engine

    return engine.Linear(64, 64, device="cuda")(torch.ones(16, 64, device="cuda"))


def apex(torch):
    from apex.normalization import FusedLayerNorm

    return FusedLayerNorm(64).cuda()(torch.ones(16, 64, device="cuda"))


def bitsandbytes(torch):
    import bitsandbytes.functional as kernels

    return kernels.quantize_blockwise(torch.ones(4096, device="cuda"))


LAUNCHES = {"flash_attn": flash_attn, "xformers": xformers, "transformer_engine": transformer_engine}
LAUNCHES.update({"apex": apex, "bitsandbytes": bitsandbytes})


def main(name):
    begun, said = time.perf_counter(), {"refusal": "", "launch_refusal": "", "is_launched": False}
    try:
        module = importlib.import_module(name)
        said["version"] = str(getattr(module, "__version__", ""))
    except BaseException as error:  # whatever its import does, an exit too, is the finding
        said["refusal"] = f"{type(error).__name__}: {error}"[:500]
    said["import_s"] = time.perf_counter() - begun
    torch = sys.modules.get("torch")
    if not said["refusal"] and torch and torch.cuda.is_available() and name in LAUNCHES:
        try:
            LAUNCHES[name](torch)
            torch.cuda.synchronize()
            said["is_launched"] = True
        except Exception as error:
            said["launch_refusal"] = f"{type(error).__name__}: {error}"[:500]
    print("\n" + json.dumps(said))


if __name__ == "__main__":
    main(sys.argv[1])

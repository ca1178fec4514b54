"""Use one GPU through the CUDA driver alone, and say how far that went. Only for a process of its own."""

import ctypes
import os
import time
from typing import Any

SHARE = 0.9  # of the free memory


def use(uuid: str) -> dict[str, str | float]:
    """`error` is empty where all went well; else the driver's name for it, and the call that said so."""
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return {"skip": "no libcuda.so.1"}
    # Read by the driver when it starts: the device with this name is number 0, whatever else may be seen.
    os.environ["CUDA_VISIBLE_DEVICES"] = uuid
    begun = time.monotonic()
    device, context = ctypes.c_int(), ctypes.c_void_p()
    free, total, at = ctypes.c_size_t(), ctypes.c_size_t(), ctypes.c_void_p()

    def told(call: str, code: int) -> dict[str, str | float]:
        name = ctypes.c_char_p()
        cuda.cuGetErrorName(code, ctypes.byref(name))
        words = (name.value or b"").decode(errors="replace") or f"error {code}"
        return {"error": words if code else "", "failed_at": call if code else "", **sizes()}

    def sizes() -> dict[str, str | float]:
        return {"took_s": round(time.monotonic() - begun, 3), "written_bytes": size}

    size = 0
    first: tuple[tuple[str, tuple[Any, ...]], ...] = (
        ("cuInit", (0,)),
        ("cuDeviceGet", (ctypes.byref(device), 0)),
        ("cuDevicePrimaryCtxRetain", (ctypes.byref(context), device)),
        ("cuCtxSetCurrent", (context,)),
        ("cuMemGetInfo_v2", (ctypes.byref(free), ctypes.byref(total))),
    )
    for call, arguments in first:
        if code := getattr(cuda, call)(*arguments):
            return told(call, code)
    wanted = ctypes.c_size_t(int(free.value * SHARE))
    if code := cuda.cuMemAlloc_v2(ctypes.byref(at), wanted):
        return told("cuMemAlloc", code)
    if code := cuda.cuMemsetD8_v2(at, ctypes.c_ubyte(0xA5), wanted) or cuda.cuCtxSynchronize():
        return told("cuMemsetD8", code)
    size = wanted.value
    code = cuda.cuMemFree_v2(at) or cuda.cuDevicePrimaryCtxRelease_v2(device)
    return told("cuMemFree", code)

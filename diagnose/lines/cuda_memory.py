"""That a device had no more memory: PyTorch's allocator in the words of every version, the driver, NCCL, XLA.

>>> from diagnose.messages import said
>>> said("CUDA out of memory. Tried to allocate 2.00 GiB (GPU 1; 8.00 GiB total capacity; 3.00 GiB already allocated; 1.00 GiB free; 7.00 GiB reserved in total by PyTorch)", LINES)
('cuda.out_of_memory', {'by': 'allocator', 'device': 1, 'tried': 2147483648, 'total': 8589934592, 'free': 1073741824, 'allocated': 3221225472, 'reserved': 7516192768})
"""  # noqa: E501

import re
from collections.abc import Callable

from diagnose.messages import Data, line

EVENTS = {
    "cuda.out_of_memory": "no room on a device; data: by (allocator, driver, library, nccl, xla, server), "
    "device, tried, total, free, allocated, reserved, unallocated, own, others (bytes)",
}
UNITS = {"byte": 0, "k": 10, "m": 20, "g": 30, "t": 40}
SIZE = r"(\d{1,15}(?:\.\d{1,3})?) ?(bytes?|[KMGT]i?B)\b"
NUMBERS = {
    "tried": (rf"Tried to allocate (?:more than )?{SIZE}",),
    "total": (rf"total capac\w{{1,4}} of {SIZE}", rf"{SIZE} total capacity"),
    "free": (rf"of which {SIZE} is free", rf"{SIZE} free\b"),
    "allocated": (rf"{SIZE} is allocated by PyTorch", rf"{SIZE} already allocated"),
    "reserved": (rf"{SIZE} reserved in total", rf"{SIZE} cached\b"),
    "unallocated": (rf"{SIZE} is reserved by PyTorch but unallocated",),
    "own": (rf"this process has {SIZE} memory in use",),
}
FIELDS = {name: [re.compile(text) for text in texts] for name, texts in NUMBERS.items()}
OTHERS = re.compile(rf"Process \d{{1,10}} has {SIZE} memory in use")
DEVICE = re.compile(r"\bGPU (\d{1,3})\b")


def size(number: str, unit: str) -> int:
    """
    >>> size("1.50", "KiB"), size("7", "bytes")
    (1536, 7)
    """
    return int(float(number) * 2 ** UNITS.get(unit.lower().rstrip("s").removesuffix("b").rstrip("i"), 0))


def allocator(found: re.Match[str]) -> Data:
    """Its own numbers; which of them it tells differs from version to version."""
    data: Data = {"by": "allocator"}
    if device := DEVICE.search(found[0]):
        data["device"] = int(device[1])
    for name, regexes in FIELDS.items():
        if told := next((t for regex in regexes if (t := regex.search(found[0]))), None):
            data[name] = size(*told.groups())
    if others := OTHERS.findall(found[0]):
        data["others"] = sum(size(*each) for each in others)
    return data


def of(by: str) -> Callable[[re.Match[str]], Data]:
    """The data of a refusal by somebody else: its numbers, where it has any."""

    def data(found: re.Match[str]) -> Data:
        told = {k: int(v) for k, v in found.groupdict().items() if v is not None}
        return {"by": by, **told}

    return data


RUNTIME = r"\b(?:CUDA|HIP)(?: driver| runtime)?"
LINES = (
    line(
        "cuda.out_of_memory",
        "out of memory. Tried",
        r"\b[A-Z]{3,5} out of memory\. Tried to allocate.{0,1200}",
        data=allocator,
    ),
    *(
        line("cuda.out_of_memory", word, text, data=of(by))
        for by, word, text in (
            ("driver", "error: out of memory", rf"{RUNTIME} error: out of memory"),
            ("driver", "Error: out of memory", rf"{RUNTIME} Error: out of memory"),
            (  # TensorRT-LLM
                "driver",
                "runtime error in ",
                rf"{RUNTIME} error in .{{1,160}}?: out of memory",
            ),
            ("allocator", "CUDA out of memory", r"CUDA out of memory\b"),
            ("driver", " : out of memory", r"\b(?:cuda runtime error \(2\)|error=2) : out of memory"),
            ("allocator", "llocation on device", r"Allocation on device .{0,20}would exceed allowed memory"),
            ("driver", "cudaMalloc failed", r"cudaMalloc failed: out of memory"),
            ("driver", "cudaMalloc retry failed", r"cudaMalloc retry failed: out of memory"),
            (
                "allocator",
                "Out of memory allocating",
                r"OutOfMemoryError: Out of memory allocating [\d,]{1,26} bytes",
            ),
            ("allocator", "memory error on GPU", r"Out of memory error on GPU (?P<device>\d{1,3})\b"),
            ("xla", "OOM when allocating", r"OOM when allocating tensor with shape"),
            ("library", "STATUS_NOT_INITIALIZED", r"CUBLAS_STATUS_NOT_INITIALIZED"),
            ("driver", "driver error:out of memory", r"driver error: ?out of memory"),  # Ascend's
            ("driver", "ErrorMemoryAllocation", r"\b(?:cuda|hip)ErrorMemoryAllocation\b"),
            ("driver", "CUDA_ERROR_OUT_OF_MEMORY", r"CUDA_ERROR_OUT_OF_MEMORY"),
            ("driver", "[CUDA]: out of memory", r"Triton Error \[(?:CUDA|HIP)\]: out of memory"),
            (
                "library",
                "STATUS_ALLOC_FAILED",
                r"\b(?:CUBLAS|CUDNN|CUSPARSE|CUSOLVER|CUFFT)_STATUS_ALLOC_FAILED",
            ),
            (
                "nccl",
                "Cuda failure",
                r"^(?:.{0,120}?\[(?P<device>\d{1,3})\] )?.{0,120}?Cuda failure (?:\d{1,4} )?'out of memory'",
            ),
            (
                "nccl",
                "CUDA calloc",
                r"^(?:.{0,120}?\[(?P<device>\d{1,3})\] )?.{0,120}?"
                r"Failed to CUDA (?:host )?(?:m|c)alloc(?: async)? (?P<tried>\d{1,18}) bytes",
            ),
            *(
                (
                    "xla",
                    word,
                    rf"{word}: (?:XLA:\w{{1,9}} )?(?:[Oo]ut of memory|Ran out of memory)"
                    r"(?:.{0,80}allocat\w{1,4} (?P<tried>\d{1,18}) bytes)?",
                )
                for word in ("RESOURCE_EXHAUSTED", "Resource exhausted")
            ),
            (
                "xla",
                "That was not possible",
                r"Attempting to (?:allocate|reserve) [\d.]{1,9}[KMGT]?\b.{0,60}\. That was not possible",
            ),
            ("server", "for the cache blocks", r"No available memory for the cache blocks"),
            (
                "server",
                "GPU memory utilization",
                r"Free memory on device .{0,80} on startup is less than desired",
            ),
            ("server", "out of memory occurred when", r"CUDA out of memory occurred when \w"),
            (
                "server",
                "Not enough memory. Please try",
                r"Not enough memory\. Please try to increase --mem-fraction",
            ),
        )
    ),
)

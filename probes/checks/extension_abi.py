"""Whether packages with compiled code fit the torch that is installed: they find the symbols they need."""

import re

from probes.checking import kernels
from probes.checking.check import Measurement, Target, measured

CHECK = kernels.CHECK
SYMBOL = re.compile(
    r"undefined symbol: (\S{1,200})|(lib[\w.+-]{1,60}\.so[\w.]{0,20}): cannot open shared object"
)


def measure(target: Target) -> list[Measurement]:
    found, silent = kernels.of(target)
    return silent or [
        measured(one.name, f"import {one.name} in a child", missing=missing(str(one.said.get("refusal", ""))))
        for one in found
        if one.said
    ]


def missing(refusal: str) -> str:
    """
    >>> missing("ImportError: flash_attn_2_cuda.so: undefined symbol: _ZN3c105ErrorC2E")
    '_ZN3c105ErrorC2E'
    >>> missing("ImportError: libcudart.so.12: cannot open shared object file: No such file or directory")
    'libcudart.so.12'
    """
    found = SYMBOL.search(refusal)
    return (found[1] or found[2]) if found else ""

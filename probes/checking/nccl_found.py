"""The NCCL that the job's torch was built with and the one it loads; nothing of CUDA is started."""

from typing import NamedTuple

from probes.checking import interpreter
from probes.checking.check import Check, Target

LIMIT_S = 60.0
CHECK = Check("default", LIMIT_S + 10, needs=("torch",), lane="nccl")
PROGRAM = r"""
import ctypes, importlib.metadata, importlib.util, json, os, re
told = {"cuda": None, "packages": []}
folder = os.path.dirname(importlib.util.find_spec("torch").origin)
with open(os.path.join(folder, "version.py")) as file:
    cuda = re.search(r"^cuda\b[^=]*= *'([\d.]+)'", file.read(), re.M)
for one in importlib.metadata.distributions():
    name = one.metadata["Name"] or ""
    if name.startswith("nvidia-nccl"):
        told["packages"].append([name, one.version])
if cuda:
    import torch
    told["cuda"] = cuda[1]
    version = torch.cuda.nccl.version()
    told["compiled"] = list(version) if isinstance(version, tuple) else [version]
    with open("/proc/self/maps") as maps:
        paths = {line.split(None, 5)[5].strip() for line in maps if "/libnccl.so" in line}
    told["loaded"] = {}
    for path in sorted(paths):
        number = ctypes.c_int()
        ctypes.CDLL(path).ncclGetVersion(ctypes.byref(number))
        told["loaded"][path] = number.value
print(json.dumps(told))
"""


class Found(NamedTuple):
    """Versions as NCCL counts them: 22705 is 2.27.5. `why_not`: there is none, or no answer."""

    compiled: int = 0
    loaded: dict[str, int] = {}  # by path; empty where torch carries NCCL in itself
    packages: tuple[str, ...] = ()
    why_not: str = ""

    @property
    def number(self) -> int:
        return max(self.loaded.values(), default=self.compiled)


_found: dict[str, Found] = {}


def of(target: Target) -> Found:
    """Asked once for each interpreter in a lane."""
    if target.python not in _found:
        try:
            _found[target.python] = parse(interpreter.ask(target, PROGRAM, LIMIT_S))
        except interpreter.NoAnswer as error:
            _found[target.python] = Found(why_not=str(error))
    return _found[target.python]


def parse(told: object) -> Found:
    """
    >>> parse({"cuda": "12.8", "compiled": [2, 27, 3], "loaded": {"/l/libnccl.so.2": 22705}, "packages": []})
    Found(compiled=22703, loaded={'/l/libnccl.so.2': 22705}, packages=(), why_not='')
    """
    if not isinstance(told, dict) or not told.get("cuda"):
        return Found(why_not="this torch is built without CUDA, and so without NCCL")
    parts = [int(part) for part in told.get("compiled") or []]
    number = parts[0] * 10000 + parts[1] * 100 + parts[2] if len(parts) > 2 else sum(parts[:1])
    packages = tuple(f"{name} {version}" for name, version in told.get("packages") or [])
    found = Found(number, dict(told.get("loaded") or {}), packages)
    return found if found.number else Found(why_not="no version was told")


def words(number: int) -> str:
    """
    >>> words(22705)
    '2.27.5'
    """
    return f"{number // 10000}.{number // 100 % 100}.{number % 100}"

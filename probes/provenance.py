"""What compiled code is bound to: versions of an interpreter's packages, this host's GPUs and CPU."""

import argparse
import glob
import json
import os
import platform
import re
import sys
from typing import Any

from probes import deadline, procfs
from probes.emit import open_log

_LIMIT_S = 20.0
_ISAS = ("avx2", "avx512f", "avx512_bf16", "amx_tile", "asimd", "sve")
# Run in the ranks' interpreter, which may be any: nothing is imported that takes long.
_ASK = """
import importlib.metadata as found, importlib.util, json, os, platform, re
def version(*names):
    for name in names:
        try:
            return found.version(name)
        except Exception:
            pass
    return ""
told = {"python": platform.python_version(), "torch": version("torch")}
told["triton"] = version("triton", "pytorch-triton")
try:
    folder = importlib.util.find_spec("torch").submodule_search_locations[0]
    with open(os.path.join(folder, "version.py")) as file:
        text = file.read(10000)
    for name in ("__version__", "cuda", "hip"):
        said = re.search(r"^%s\\b[^=\\n]*= *'([^'\\n]*)'" % name, text, re.M)
        told[name.replace("__version__", "torch")] = said[1] if said else ""
except Exception:
    pass
print(json.dumps(told))
"""


def versions(python: str) -> dict[str, str]:
    """`python`, `torch`, `cuda`, `hip`, `triton` as that interpreter has them; empty where it has none."""
    done = deadline.run([python, "-c", _ASK], _LIMIT_S)
    try:
        told = json.loads(done.stdout)
    except ValueError:
        return {}
    return {key: value[:100] for key, value in told.items() if isinstance(value, str)}


def gpus() -> list[str] | None:
    """The GPUs' names as the driver has them; None where there are some and it does not say."""
    done = deadline.run(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"], _LIMIT_S)
    if done.code == 0:
        return [
            line.strip()[:100] for line in done.stdout.decode(errors="replace").splitlines() if line.strip()
        ]
    return None if glob.glob("/dev/nvidia[0-9]*") or os.path.exists("/dev/kfd") else []


def visible(names: list[str], asked: str | None) -> list[str]:
    """Those that CUDA_VISIBLE_DEVICES leaves.

    >>> visible(["H200"] * 8, "0,1"), visible(["H200"] * 2, None), visible(["H200"], "")
    (['H200', 'H200'], ['H200', 'H200'], [])
    """
    if asked is None:
        return names
    chosen = [part.strip() for part in asked.split(",")]
    end = next((num for num, part in enumerate(chosen) if part in {"", "-1"}), len(chosen))
    return [
        names[int(part) if part.isdigit() and int(part) < len(names) else 0] for part in chosen[:end] if names
    ]


def cpu(raw: bytes) -> str:
    """The machine, and which vector instructions it has: libraries for the CPU are built for them.

    >>> cpu(b"flags\\t\\t: fpu avx avx2 avx512f\\n").partition(" ")[2]
    'avx2 avx512f'
    """
    found = re.search(rb"(?m)^(?:flags|Features)\s*:(.{0,8000})", raw)
    flags = set(found[1].decode(errors="replace").split()) if found else set()
    return " ".join([platform.machine(), *(isa for isa in _ISAS if isa in flags)])


def look(python: str) -> dict[str, Any]:
    """All of it."""
    names = gpus()
    seen = None if names is None else visible(names, os.environ.get("CUDA_VISIBLE_DEVICES"))
    return {**versions(python), "gpus": seen, "cpu": cpu(procfs.read("/proc/cpuinfo") or b"")}


def main(argv: list[str] | None = None) -> int:
    """Say what compiled code is bound to here; prints an event line."""
    parser = argparse.ArgumentParser(prog="python -m probes.provenance", description=main.__doc__)
    parser.add_argument("--python", default=sys.executable, help="the ranks' interpreter")
    open_log("provenance").info("provenance.read", **look(parser.parse_args(argv).python))
    return 0


if __name__ == "__main__":
    sys.exit(main())

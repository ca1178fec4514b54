"""Whether what compiles kernels at run time is there: a C++ compiler, ninja, nvcc."""

import os

from probes.checking import interpreter, kernels, machine
from probes.checking.check import Check, Measurement, Target, measured

CHECK = Check("default", 20.0)


def measure(target: Target) -> list[Measurement]:
    """An extension that was built before is in its cache; packages that compile on use are installed."""
    environ = target.environ
    compiler = environ.get("CXX") or next(
        (n for n in ("g++", "c++", "clang++") if machine.which(n, environ)), ""
    )
    cache = environ.get("TORCH_EXTENSIONS_DIR") or os.path.join(
        environ.get("HOME", ""), ".cache/torch_extensions"
    )
    try:
        waiting = [name for name in kernels.installed(target) if name in kernels.COMPILES]
    except interpreter.NoAnswer:
        waiting = []
    return [
        measured(
            "host",
            "PATH, and the packages of the interpreter",
            has_compiler=bool(compiler and machine.which(compiler.split()[0], environ)),
            has_ninja=bool(machine.which("ninja", environ)),
            has_nvcc=has_nvcc(target),
            compiles=", ".join([*waiting, *(["a built extension"] if machine.listed(cache) else [])]),
            num_gpus=machine.see().num_gpus,
        )
    ]


def has_nvcc(target: Target) -> bool:
    homes = [target.environ.get(name, "") for name in ("CUDA_HOME", "CUDA_PATH")]
    paths = [os.path.join(home, "bin/nvcc") for home in [*homes, "/usr/local/cuda"] if home]
    return bool(machine.which("nvcc", target.environ)) or any(os.access(path, os.X_OK) for path in paths)

"""Recorded machines: the answers of `machines/*.toml`, said by a library that the real bindings load as NVML.

A machine that is `like` another has its answers, with `change`s: of the GPUs named (all where none are), what
a function says. A text instead of values is an error's name, `hang` or `crash`; several lists are answers one
after the other.
"""

import functools
import json
import shutil
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pynvml

MACHINES = Path(__file__).parent / "machines"
LEVELS = {True: 40, False: 50}  # NVML_TOPOLOGY_NODE on one socket, NVML_TOPOLOGY_SYSTEM across
CPUS = {0: (1 << 48) - 1, 1: ((1 << 48) - 1) << 48}  # of a socket: 48 each
CODES = {
    name.removeprefix("NVML_ERROR_"): str(code)
    for name, code in vars(pynvml).items()
    if "NVML_ERROR_" in name
}


def names() -> list[str]:
    return sorted(path.stem for path in MACHINES.glob("*.toml"))


@functools.cache
def machine(name: str) -> dict[str, Any]:
    found = tomllib.loads((MACHINES / f"{name}.toml").read_text())
    kept = ("model", "num_gpus", "num_links", "say", "each", "gpu", "change", "torch")
    base = (
        {key: value for key, value in machine(found["like"]).items() if key in kept}
        if "like" in found
        else {}
    )
    changes = [*base.get("change", []), *found.get("change", [])]
    return {**base, **found, "change": changes, "expect": found.get("expect", {})}


def table(name: str) -> str:
    """All answers of a machine, a line each."""
    of = machine(name)
    said: dict[str, Any] = {**of["say"], "nvmlDeviceGetCount_v2": [of["num_gpus"]]}
    for num in range(of["num_gpus"]):
        said |= dict(expand({"nvmlDeviceGetHandleByIndex_v2": [num]}, num, of))
        said |= dict(expand(of["each"], num, of))
    for change in of["change"]:
        said |= change.get("say", {})
        for num in change.get("gpus", range(of["num_gpus"])):
            said |= dict(expand(change.get("each", {}), num, of))
    return "".join(line for key, values in said.items() for line in lines(key, values))


def expand(functions: Mapping[str, Any], num: int, of: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The answers of one GPU: `{link}` stands for each of its links, `{peer}` for each other GPU."""
    gpus = of["gpu"]
    for key, values in functions.items():
        name, _, rest = key.partition(" ")
        for link in range(of["num_links"]) if "{link}" in rest else (0,):
            for peer in [p for p in range(of["num_gpus"]) if p != num] if "{peer}" in rest else (num,):
                level = LEVELS[gpus[peer]["node"] == gpus[num]["node"]]
                words = {"gpu": num, "link": link, "peer": peer, "level": level, "bus": gpus[num]["bus"]}
                cpus = CPUS[gpus[num]["node"]]
                words |= {"cpus": "\t".join(str(cpus >> 64 * at & (1 << 64) - 1) for at in range(16))}
                yield f"{name} {num} {rest}".strip().format(**words), filled(values, words)


def filled(values: Any, words: Mapping[str, object]) -> Any:
    if isinstance(values, list):
        return [filled(value, words) for value in values]
    return values.format(**words) if isinstance(values, str) else values


def lines(key: str, values: Any) -> Iterator[str]:
    if isinstance(values, str):
        yield f"{key}\t{CODES.get(values, values)}\n"
    elif any(isinstance(one, list) for one in values):
        for one in values:
            yield from lines(key, one)
    else:
        yield "\t".join([key, "0", *map(str, values)]) + "\n"


def build(folder: Path) -> Path:
    """Compile the library, under the names of NVML and of the CUDA driver; the folder that it lies in."""
    made = folder / "libnvidia-ml.so.1"
    flags = ["-std=gnu17", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-Wno-unused-parameter"]
    subprocess.run(["gcc", *flags, "-o", made, MACHINES / "nvml.c"], check=True)
    shutil.copy(made, folder / "libcuda.so.1")
    return folder


def torch(name: str) -> dict[str, Any]:
    """What torch says on this machine: the same devices, all within reach, but for its changes."""
    of = machine(name)
    devices = [
        {"name": of["each"]["nvmlDeviceGetName"][0], "uuid": f"u{num}"} for num in range(of["num_gpus"])
    ]
    capability = of["each"]["nvmlDeviceGetCudaComputeCapability"]
    said = {"version": "2.13.0+cu130", "cuda": "13.0", "architectures": ["sm_90", "sm_100"], "no_access": []}
    return {**said, "devices": devices, "capability": capability, "error": "", **of.get("torch", {})}


def root(name: str, folder: Path) -> Path:
    """The machine's device files, and whether its kernel is gVisor."""
    of, top = machine(name), folder / f"{name}.root"
    nodes = ["nvidiactl", "nvidia-uvm", "nvidia-uvm-tools"] if of.get("has_uvm", True) else ["nvidiactl"]
    for node in [*nodes, *(f"nvidia{num}" for num in range(of.get("num_nodes", of["num_gpus"])))]:
        (top / "dev" / node).parent.mkdir(parents=True, exist_ok=True)
        (top / "dev" / node).touch()
    if of.get("is_gvisor"):
        (top / "proc" / "gvisor").mkdir(parents=True)
    return top


def environment(name: str, library: Path, folder: Path) -> dict[str, str]:
    """What a process is started with in order to be on this machine."""
    said, torch_said = folder / f"{name}.table", folder / f"{name}.json"
    said.write_text(table(name))
    torch_said.write_text(json.dumps(torch(name)))
    return {
        "LD_LIBRARY_PATH": str(library),
        "FAKE_NVML": str(said),
        "FAKE_TORCH": str(torch_said),
        "DIAGNOSE_HOST_ROOT": str(root(name, folder)),
        "PYTHONPATH": str(MACHINES / "python"),
        **machine(name).get("environment", {}),
    }

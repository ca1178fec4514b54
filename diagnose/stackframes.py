"""Frames of one stack: whose they are, and what they settle by themselves. Pure.

Signatures are function and file names of torch's and Python's own code, as they stand on real stacks.
"""

import sys

from diagnose import native
from diagnose.model import Event

# A warm compiled model shows the wrappers' frames while it merely runs; these two only while it compiles.
COMPILE_FILES = {"convert_frame.py", "compile_fx.py", "cpp_extension.py", "file_baton.py"}
COMPILE_PATHS = ("/triton/compiler/", "/triton/backends/", "/deep_gemm/jit", "/flashinfer/jit/")
COMPILE_CALLS = {  # what is left of a compile where a report leaves frames out
    *(("_wait_futures", "async_compile.py"), ("precompile", "triton_heuristics.py")),
    *(("compile_to_module", "graph.py"), ("_compile_to_module", "graph.py")),
    *(("call_user_compiler", "output_graph.py"), ("benchmark_all_configs", "triton_heuristics.py")),
}
LOADER_FUNCTIONS = {"_try_get_data", "_next_data", "_get_data", "_process_next_batch", "_shutdown_workers"}
SAVE_FUNCTIONS = {"save_checkpoint", "_save_checkpoint", "save_pretrained", "save_file"}
JOINING = {(name, "distributed_c10d.py") for name in ("_store_based_barrier", "init_process_group")}
AT_EXIT = {("_shutdown", "threading.py"), ("_python_exit", "thread.py"), ("_exit_function", "util.py")}
INNER = 4  # frames of a wait: what is waited for
LOCK_FILES = {"threading.py", "queue.py", "synchronize.py", "locks.py"}
INSTALLED = ("site-packages/", "dist-packages/", "/lib/python", "/diagnose_rank/")  # the last: our hook
PACKAGES = {*sys.stdlib_module_names, "torch", "triton", "numpy", "transformers", "accelerate", "deepspeed"}
KEEP = 256  # frames of a stack that are looked at; a compile has 60 to 70


def frames(event: Event) -> list[str]:
    value = event.data.get("main")
    return [str(frame) for frame in value][:KEEP] if isinstance(value, list) else []


def paths(event: Event) -> list[str]:
    """The frames' files, as many as there are frames."""
    value = event.data.get("paths")
    found = [str(path) for path in value][:KEEP] if isinstance(value, list) else []
    return found + [""] * (len(frames(event)) - len(found))


def split(frame: str) -> tuple[str, str]:
    """`Class.func (file.py:12)` -> (`func`, `file.py`). From Python 3.11 on names are qualified.

    >>> split("all_reduce (distributed_c10d.py:3252)"), split("Queue.get (queues.py:113)")
    (('all_reduce', 'distributed_c10d.py'), ('get', 'queues.py'))
    """
    function, _, rest = frame.partition(" (")
    return function.rpartition(".")[2], rest.rstrip(")").rpartition(":")[0].rpartition("/")[2]


def by_stack(event: Event) -> tuple[str, str] | None:
    """The activity that the frames alone settle, with the frame that does."""
    stack = frames(event)
    pairs = [split(frame) for frame in stack]
    for (function, file), path, frame in zip(pairs, paths(event), stack, strict=False):
        if function != "<module>" and compiles(file, path):
            return "compile", frame
    for pair, frame in zip(pairs, stack, strict=True):
        if pair in COMPILE_CALLS:
            return "compile", frame
    for (function, file), path, frame in zip(pairs, paths(event), stack, strict=False):
        if function != "<module>" and (named := by_frame(function, file, path)):
            is_start = named == "collective" and any(pair in JOINING for pair in pairs)
            return "rendezvous" if is_start else named, frame
    if pairs and pairs[0][1] in LOCK_FILES:
        is_fed = any(function == "__next__" for function, _ in pairs[1:INNER])  # a thread fills its queue
        return "loader" if is_fed else "lock", stack[0]
    saves = next((f for f, (function, _) in zip(stack, pairs, strict=True) if function in SAVE_FUNCTIONS), "")
    return ("checkpoint", saves) if saves else None


def compiles(file: str, path: str) -> bool:
    """Whether a frame is there only while something is compiled, or another's compile is awaited.

    >>> compiles("compiler.py", "triton/compiler/compiler.py"), compiles("jit.py", "triton/runtime/jit.py")
    (True, False)
    """
    return file in COMPILE_FILES or any(part in f"/{path}" for part in COMPILE_PATHS)  # py-spy has no root


def below(event: Event) -> tuple[str, str] | None:
    """A mutex that the C frames below Python wait for."""
    told = event.data.get("native")
    found = native.by_names([str(name) for name in told]) if isinstance(told, list) else None
    return found if found and found[0] == "lock" else None


def by_frame(function: str, file: str, path: str) -> str:
    """What one frame of a library settles; empty where it settles nothing."""
    if function == "_find_and_load":
        return "import"
    if (function, file) in AT_EXIT:
        return "exit"
    if file == "rendezvous.py" or function in {"_store_based_barrier", "init_process_group"}:
        return "rendezvous"
    if file in {"distributed_c10d.py", "_functional_collectives.py"}:
        return "collective"
    if path.endswith("torch/utils/data/dataloader.py"):
        return "loader"
    if file in {"dataloader.py", "stateful_dataloader.py"} and function in LOADER_FUNCTIONS:
        return "loader"
    if "torch/distributed/checkpoint/" in path or file == "filesystem.py":
        return "checkpoint"
    if file == "serialization.py" and function in {"save", "_save"}:
        return "checkpoint"
    if function == "synchronize" and (file == "streams.py" or path.endswith("/cuda/__init__.py")):
        return "device"
    return ""


def is_library(path: str) -> bool:
    """Whether a frame's file is no part of the program. py-spy's text leaves out where packages lie.

    >>> [is_library(p) for p in ("/v/lib/python3.11/site-packages/x.py", "torch/nn/a.py", "queue.py", "<s>")]
    [True, True, True, True]
    >>> [is_library(p) for p in ("/app/train.py", "train.py", "/app/torch/x.py")]
    [False, False, False]
    """
    if any(part in path for part in INSTALLED) or path.startswith("<"):
        return True
    return path.partition("/")[0].removesuffix(".py") in PACKAGES


def own_frames(event: Event) -> list[str]:
    """The frames of the program itself: not in an installed package or the standard library."""
    return [f for f, path in zip(frames(event), paths(event), strict=False) if not is_library(path)]


def own_frame(event: Event) -> str:
    """The innermost frame of the program itself, else the innermost one."""
    return next(iter(own_frames(event) or frames(event)), "")

"""Compilers, autotuners and captures that say what they do: progress, not failure.

>>> from diagnose.messages import said
>>> said("SingleProcess AUTOTUNE benchmarking takes 9.2 seconds and 21.0 seconds precompiling", LINES)
('compile.told', {'what': 'autotune', 'text': 'AUTOTUNE benchmarking takes 9.2 seconds and 21.0 seconds precompiling'})
"""  # noqa: E501

import re
from collections.abc import Callable

from diagnose.messages import Data, line

EVENTS = {
    "compile.told": "a compiler, an autotuner or a capture was at work; data: what (compile, autotune, "
    "warm_up, capture), text",
}
WORDS = (
    ("autotune", "AUTOTUNE ", r"\bAUTOTUNE \w"),
    ("warm_up", "DeepGEMM", r"(?:Entering |Try )?DeepGEMM (?:warmup|JIT)"),
    ("capture", "Capturing CUDA graph", r"Capturing CUDA graph"),
    ("capture", "Capturing the model for cudagraphs", r"Capturing the model for cudagraphs"),
    ("compile", "Recompiling function", r"Recompiling function"),
    ("compile", "fx graph cache miss", r"fx graph cache miss for key"),
    ("compile", "Compiling a graph for", r"Compiling a graph for"),
    ("compile", "torch.compile takes", r"torch\.compile takes"),
    ("compile", "bytecode transform", r"Dynamo bytecode transform time"),
    ("compile", "JIT compilation during", r"Triton kernel JIT compilation during"),
    ("compile", "Building extension module", r"Building extension module"),
    ("compile", "compile_kernels", r"\bcompile_kernels\b"),
    ("compile", "cache_size_limit", r"torch\._dynamo hit config\.cache_size_limit"),
    ("compile", "recompile_limit", r"torch\._dynamo hit config\.recompile_limit"),
)


def of(what: str) -> Callable[[re.Match[str]], Data]:
    return lambda found: {"what": what, "text": found[0]}


LINES = tuple(line("compile.told", word, rf"{text}.{{0,120}}", data=of(what)) for what, word, text in WORDS)

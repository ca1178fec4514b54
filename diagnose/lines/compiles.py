"""Compilers, autotuners and captures that say what they do: progress, not failure.

>>> from diagnose.messages import said
>>> said("SingleProcess AUTOTUNE benchmarking takes 9.2 seconds and 21.0 seconds precompiling", LINES)
('compile.told', {'text': 'AUTOTUNE benchmarking takes 9.2 seconds and 21.0 seconds precompiling'})
"""

from diagnose.messages import line

EVENTS = {"compile.told": "a compiler, an autotuner or a capture was at work; data: text"}
LINES = tuple(
    line("compile.told", word, rf"(?P<text>{text}.{{0,120}})")
    for word, text in (
        ("AUTOTUNE ", r"\bAUTOTUNE \w"),
        ("Recompiling function", r"Recompiling function"),
        ("fx graph cache miss", r"fx graph cache miss for key"),
        ("DeepGEMM", r"(?:Entering |Try )?DeepGEMM (?:warmup|JIT (?:Pre-)?Compil)"),
        ("Compiling a graph for", r"Compiling a graph for"),
        ("torch.compile takes", r"torch\.compile takes"),
        ("bytecode transform", r"Dynamo bytecode transform time"),
        ("JIT compilation during", r"Triton kernel JIT compilation during"),
        ("Building extension module", r"Building extension module"),
        ("compile_kernels", r"\bcompile_kernels\b"),
        ("cache_size_limit", r"torch\._dynamo hit config\.(?:cache_size|recompile)_limit"),
        ("recompile_limit", r"torch\._dynamo hit config\.recompile_limit"),
    )
)

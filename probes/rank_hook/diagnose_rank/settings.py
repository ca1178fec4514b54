"""Which variables decide how ranks compute and meet: of these the parent and every rank tell."""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

# How names begin before their first `_`, and whole names.
_HEADS = (
    *("NCCL", "RCCL", "TORCH", "PYTORCH", "CUDA", "CUBLAS", "CUDNN", "TRITON", "FSDP", "GLOO"),
    *("NVIDIA", "NVTE"),
    *("OMP", "MKL", "KMP", "GOMP", "OPENBLAS", "XLA", "HIP", "HSA", "ROCR", "MIOPEN", "UCX", "FI", "PET"),
    *("ACCELERATE", "DEEPSPEED", "DS", "MEGATRON", "VLLM", "FLASH", "HF", "TRANSFORMERS", "TOKENIZERS"),
)
_NAMES = frozenset(
    [
        *("LD_LIBRARY_PATH", "LD_PRELOAD", "PYTHONHASHSEED", "PYTHONPATH", "PYTHONOPTIMIZE"),
        *("WORLD_SIZE", "LOCAL_WORLD_SIZE", "NNODES", "LANG", "LC_ALL", "LC_CTYPE", "LC_NUMERIC"),
    ]
)
_OF_ONE_RUN = ("TORCHELASTIC_",)  # ids, ports and paths that a launcher makes anew each time
OF_RANKS = frozenset(["WORLD_SIZE", "LOCAL_WORLD_SIZE", "NNODES"])  # given to ranks by every launcher
MOST, LONGEST = 300, 1000


def is_setting(name: str) -> bool:
    """
    >>> [is_setting(n) for n in ("NCCL_DEBUG", "TORCHINDUCTOR_CACHE_DIR", "HOME", "TORCHELASTIC_RUN_ID", "LANG")]
    [True, True, False, False, True]
    """  # noqa: E501
    head, line, _ = name.partition("_")
    is_library = bool(line) and head.isalpha() and head.isupper() and head.startswith(_HEADS)
    return name in _NAMES or (is_library and not name.startswith(_OF_ONE_RUN))


def of_rank(environ: "Mapping[str, str]", spool: str) -> "dict[str, str]":
    """As a rank has them by now: scripts, launchers and the program itself may have set some.

    >>> of_rank({"NCCL_ALGO": "Ring", "HF_TOKEN": "hf_a", "RANK": "0", "TORCH_X": "/s/a"}, "/s")
    {'HF_TOKEN': '<redacted>', 'NCCL_ALGO': 'Ring', 'TORCH_X': '{spool}/a'}
    """
    return {name: value for name, value in told(environ, spool).items() if name not in OF_RANKS}


def told(environ: "Mapping[str, str]", spool: str) -> "dict[str, str]":
    """Those that are settings, as they may be kept."""
    names = sorted([name for name in environ if is_setting(name)])[:MOST]
    found = [(name, shown(name, environ[name], spool)) for name in names]
    return {name: value for name, value in found if value or not environ[name]}


def shown(name: str, value: str, spool: str) -> str:
    """Without secrets, without our own folder of the path, and with the run's spool as `{spool}`."""
    from .hints import may_hold_secret

    if name == "PYTHONPATH":
        value = os.pathsep.join([part for part in value.split(os.pathsep) if not part.endswith("/rank_hook")])
    if may_hold_secret(name) or may_hold_secret(value):
        from .redact import HIDDEN, is_secret_name, redact

        value = HIDDEN if is_secret_name(name) else redact(value)
    return value.replace(spool, "{spool}")[:LONGEST]

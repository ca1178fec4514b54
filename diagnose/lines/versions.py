"""That parts of the software do not fit: driver, CUDA, NCCL, compiled extensions, packages.

>>> from diagnose.messages import said
>>> said("RuntimeError: CUDA error: no kernel image is available for execution on the device", LINES)
('version.refused', {'what': 'architecture', 'text': 'no kernel image is available for execution on the device'})
"""  # noqa: E501

import re
from collections.abc import Callable

from diagnose.messages import Data, line

EVENTS = {
    "version.refused": "parts that do not fit each other; data: what (driver, architecture, symbol, library,"
    " collective, package), text",
}
SITE = r"/(?:site|dist)-packages/"
REFUSED = (
    ("library", "VERSION_MISMATCH", r"CUDNN_STATUS_(?:SUBLIBRARY_)?VERSION_MISMATCH"),
    ("driver", "Found no NVIDIA driver", "Found no NVIDIA driver on your system"),
    ("architecture", "invalid device function", r"(?:CUDA|HIP) error: invalid device function"),
    (
        "architecture",
        "named symbol not found",
        r"(?:(?:CUDA|HIP) error: |Cuda failure .{0,8}?)named symbol not found",
    ),
    ("architecture", "PTX JIT compilation", "a PTX JIT compilation failed"),
    ("library", "without libuv", r"use_libuv was requested but PyTorch was built? ?without libuv"),
    ("package", "does not exist", r"operator torchvision::\w{1,40} does not exist"),
    (
        "package",
        "has no attribute",
        r"AttributeError: (?:partially initialized )?module '(?:torch|numpy|triton|transformers|vllm|"
        r"xformers|flash_attn|deepspeed|accelerate)[\w.]{0,80}' has no attribute '\w{1,80}'",
    ),
    (
        "driver",
        "driver version is insufficient",
        "CUDA driver version is insufficient for CUDA runtime version",
    ),
    ("driver", "system is too old", r"The NVIDIA driver on your system is too old \(found version \d{1,9}\)"),
    ("driver", "version mismatch", r"[Dd]river/library version mismatch"),
    ("driver", "orward compatibility", "forward compatibility was attempted on non supported HW"),
    ("driver", "SYSTEM_DRIVER_MISMATCH", "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"),
    ("driver", "system has unsupported", "system has unsupported display driver / cuda driver combination"),
    ("driver", "unsupported toolchain", "the provided PTX was compiled with an unsupported toolchain"),
    ("driver", "unsatisfied condition: cuda", r"requirement error: unsatisfied condition: cuda>=[\d.]{1,9}"),
    ("architecture", "no kernel image", "no kernel image is available for execution on the device"),
    ("architecture", "kernel image is invalid", "device kernel image is invalid"),
    ("architecture", "NO_BINARY_FOR_GPU", "CUDA_ERROR_NO_BINARY_FOR_GPU"),
    ("architecture", "Unsupported gpu arch", r"nvcc fatal *: Unsupported gpu architecture '?\w{1,20}"),
    (
        "architecture",
        "is not defined for option",
        r"ptxas fatal *: Value '\w{1,20}' is not defined for option",
    ),
    (
        "architecture",
        "not supported on .target",
        r"Instruction '[\w.:]{1,60}' not supported on \.target '?\w{1,20}",
    ),
    ("architecture", "does not support", r"PTX \.version .{1,40} does not support \.target \w{1,20}"),
    (
        "architecture",
        "Unsupported .version",
        r"Unsupported \.version [\d.]{1,9}; current version is '[\d.]{1,9}'",
    ),
    (
        "architecture",
        "the current PyTorch install",
        r"CUDA capability sm_\w{1,6} is not compatible with the current PyTorch installation",
    ),
    (
        "architecture",
        "FlashAttention only",
        r"FlashAttention(?:-\d)? only supports .{1,60}GPUs?(?: or newer)?",
    ),
    (
        "symbol",
        "undefined symbol",
        # Not of an optional extension, without which its package goes on.
        r"^(?!.{0,200}(?:Failed to load image|NCCL INFO)).{0,300}?"
        r"(?:\b\w{2,40}Error|lookup error|\.so[\w.]{0,20}): .{0,300}?undefined symbol: [\w@.]{1,200}",
    ),
    ("symbol", "not found (required by", r"version `[\w.]{1,40}' not found \(required by .{1,200}\)"),
    ("symbol", "ELF header", "invalid ELF header"),
    (
        "symbol",
        "module compiled against",
        r"module compiled against (?:ABI|API) version 0x\w{1,9} but this version of numpy",
    ),
    ("symbol", "binary incompatibility", r"\w{1,40} size changed, may indicate binary incompatibility"),
    ("symbol", "cannot be run in", r"compiled using NumPy 1\.x cannot be run in\s*(?:NumPy [\d.]{1,9})?"),
    (
        "library",
        "cannot open shared",
        r"\b\w{2,40}Error: .{0,100}?lib[\w.+-]{1,80}\.so[\w.]{0,20}: cannot open shared object file",
    ),
    (
        "architecture",
        "Bfloat16 is only supported",
        r"Bfloat16 is only supported on GPUs with compute capability of at least [\d.]{1,5}",
    ),
    (
        "architecture",
        "supported for the current GPU",
        r"is not supported for the current GPU\. Min(?:imum)? capability: \d{1,4}",
    ),
    (
        "architecture",
        "n incompatible device",
        r"engine plan file is generated on an incompatible device.{0,80}",
    ),
    ("driver", "CUDA driver is a stub", "CUDA driver is a stub library"),
    (
        "library",
        "the version torch was compiled",
        r"Installed CUDA version [\d.]{1,9} does not match the version torch was compiled with "
        r"[\d.]{1,9}(?:,|\s*$)",  # not: `but since the APIs are compatible`
    ),
    ("library", "unable to compile CUDA op", r"CUDA_HOME does not exist, unable to compile CUDA op\(s\)"),
    ("library", "CUDA_HOME environment", r"Error: CUDA_HOME environment variable is not set"),
    ("library", "CUDA Setup failed", r"CUDA Setup failed despite (?:CUDA|GPU) being available"),
    ("library", "Could not load library", r"Could not load library lib[\w.+-]{1,60}\. Error: .{1,200}"),
    ("library", "Unable to load any of", r"Unable to load any of \{lib\w{1,60}\.so.{1,200}\}"),
    (
        "library",
        "source was compiled with",
        r"Loaded runtime CuDNN library: \S{1,20} but source was compiled with: \S{1,20}",
    ),
    (
        "library",
        "with this version of TensorRT",
        r"engine plan file is not compatible with this version of TensorRT.{0,80}",
    ),
    (  # torch 2.6 loads weights only
        "package",
        "Unsupported global",
        r"Unsupported global: GLOBAL [\w.]{1,120}",
    ),
    (
        "package",
        "recognize this architecture",
        r"model type `[\w.-]{1,60}` but Transformers does not recognize this architecture",
    ),
    ("package", "not supported for now", r"Model architectures \[.{1,120}\] are not supported for now"),
    (
        "package",
        "newer than and incompatible",
        r"jaxlib version \S{1,30} is newer than and incompatible with jax version \S{1,30}",
    ),
    (
        "package",
        "PyTorch` requires",
        r"Using the `\w{1,30}` with `PyTorch` requires `accelerate>=[\d.]{1,12}`",
    ),
    (
        "symbol",
        "No module named",
        r"No module named '(?:amp_C|transformer_engine_torch|\w{1,40}_cuda)'",
    ),
    (
        "library",
        "is incompatible with",
        r"MKL_THREADING_LAYER=\w{1,20} is incompatible with \S{1,80} library",
    ),
    (
        "library",
        "tag does not match",
        r"Version tag does not match\. Note: Current Version: \d{1,9}, Serialized Engine Version: \d{1,9}",
    ),
    ("library", "load NCCL library", r"Failed to load NCCL library from [\w./-]{1,200}"),
    ("library", "cuDNN version ", r"cuDNN version (?:incompatibility|mismatch): .{1,200}"),
    (
        "library",
        "mismatches the version",
        r"detected CUDA version \(.{1,20}\) mismatches the version that was used",
    ),
    ("library", "not compiled with", r"Torch not compiled with CUDA enabled"),
    (
        "library",
        "different CUDA",
        r"PyTorch and \w{1,30} (?:has|were compiled with) "
        r"different CUDA (?:major )?versions?.{0,80}",
    ),
    ("collective", "Mismatched NCCL", r"Mismatched NCCL version detected.{0,120}"),
    ("collective", "NCCL version mismatch", r"NCCL version mismatch.{0,120}"),
    ("collective", "doesn't have NCCL", r"Distributed package doesn't have NCCL built.{0,3}in"),
    (
        "package",
        "cannot import name",
        r"ImportError: cannot import name '[\w.]{1,80}' from "
        rf".{{1,120}}{SITE}.{{1,160}}",
    ),
    (
        "package",
        "is required for",
        r"(?<![\w.-])[\w.-]{1,40}[<>=!]{1,2}[\w.,<>=!]{1,40} is required for a normal functioning.{0,160}",
    ),
    (
        "package",
        "DistributionNotFound",
        r"pkg_resources\.(?:DistributionNotFound|(?:Contextual)?"
        r"VersionConflict): .{1,200}",
    ),
)


def what(name: str) -> Callable[[re.Match[str]], Data]:
    def data(found: re.Match[str]) -> Data:
        return {"what": name, "text": found[0][:300]}

    return data


LINES = tuple(line("version.refused", word, text, data=what(name)) for name, word, text in REFUSED)

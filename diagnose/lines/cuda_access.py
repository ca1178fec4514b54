"""That a kernel touched what is not its own, or an assertion in one failed: CUDA's, HIP's and NCCL's words.

>>> from diagnose.messages import said
>>> said("../aten/src/ATen/native/cuda/Indexing.cu:1289: indexSelectLargeIndex: block: [4,0,0], thread: [32,0,0] Assertion `srcIndex < srcSelectDimSize` failed.", LINES)
('cuda.assert_failed', {'at': 'Indexing.cu:1289', 'text': 'srcIndex < srcSelectDimSize'})
"""  # noqa: E501

import re

from diagnose.messages import Data, group_rank, line

EVENTS = {
    "cuda.assert_failed": "an assertion in a kernel; data: at (file:line), text (the condition)",
    "cuda.access_refused": "a kernel's bad address or instruction; data: text, group_rank",
}
ACCESS = "|".join((
    "an illegal memory access was encountered", "misaligned address", "invalid program counter",
    "an illegal instruction was encountered", "operation not supported on global/shared address space",
    "unspecified launch failure",
))  # fmt: skip


def refused(found: re.Match[str]) -> Data:
    return {"text": found["text"]} | group_rank(found.string)


LINES = (
    line(
        "cuda.assert_failed",
        "Assertion `",
        # Threads of several ranks print at once: their pieces of a line may be mixed.
        r"(?:(?P<at>[\w.+-]{1,80}\.cuh?:\d{1,6})\b|block: \[|thread: \[).{0,400}?"
        r"Assertion `(?P<text>[^`\n]{1,200})` failed",
    ),
    *(
        line("cuda.access_refused", word, rf"(?P<text>{text})", data=refused)
        for word, text in (
            ("device-side assert", "device-side assert triggered"),
            ("CUDA_ERROR_ASSERT", "CUDA_ERROR_ASSERT"),
            ("STATUS_EXECUTION_FAILED", r"CU(?:BLAS|DNN)_STATUS_EXECUTION_FAILED"),
            ("STATUS_MAPPING_ERROR", r"CU(?:BLAS|DNN)_STATUS_MAPPING_ERROR"),
            *(
                (word, rf"(?:^\s*|(?:CUDA|HIP|Triton|[Cc]uda|hip)\b.{{0,60}}?)(?:{ACCESS})")
                for word in (
                    "illegal memory access",
                    "misaligned address",
                    "invalid program counter",
                    "illegal instruction was",
                    "shared address space",
                    "unspecified launch",
                )
            ),
            ("ErrorIllegalAddress", r"(?:cuda|hip)ErrorIllegalAddress"),
            ("CUDA_ERROR_ILLEGAL", "CUDA_ERROR_ILLEGAL_(?:ADDRESS|INSTRUCTION)"),
            ("CUDA_ERROR_LAUNCH_FAILED", "CUDA_ERROR_LAUNCH_FAILED"),
            ("STATUS_ERROR_EXCEPTION", r"HSA_STATUS_ERROR_EXCEPTION: .{0,100}hardware exception"),
            ("HSA_STATUS_ERROR_MEMORY", r"HSA_STATUS_ERROR_MEMORY_(?:FAULT|APERTURE_VIOLATION)"),
            ("emory access fault by GPU", r"Memory access fault by GPU \W{0,3}node-\d{1,3}.{0,120}"),
        )
    ),
)

"""What the system had no more of, in the words of its errors.

>>> from diagnose.messages import said
>>> said("OSError: [Errno 28] No space left on device", LINES)
('resource.refused', {'text': 'OSError: [Errno 28] No space left on device'})
"""

from diagnose.messages import line, whole_match

EVENTS = {"resource.refused": "the system had no more to give; data: text"}
WORDS = (
    "No space left on device",
    "oo many open files",
    "Disk quota exceeded",
    "Cannot allocate memory",
    "out of shared memory",
    "insufficient shared memory",
)
LINES = (
    *(
        # NCCL's own complaints are a family of theirs: they tell of what there was no more
        line(
            "resource.refused",
            word,
            rf"^(?!.{{0,300}} NCCL WARN ).{{0,300}}{word}.{{0,100}}",
            data=whole_match,
        )
        for word in WORDS
    ),
    line(  # the last words of Rust, in which tokenizers are written
        "resource.refused",
        "memory allocation of",
        r"\bmemory allocation of \d{1,18} bytes failed",
        data=whole_match,
    ),
)

"""That two ends of a transfer of NCCL's differ in size. Which of them is wrong, it does not say.

>>> from diagnose.messages import said
>>> said("a:7:9 [1] net.h:44 NCCL WARN NET/Socket : peer 10.0.0.3<418> message truncated : receiving 1024 bytes instead of 512", LINES)
('nccl.sizes_differed', {'got': 1024, 'room': 512})
"""  # noqa: E501

from diagnose.messages import line

EVENTS = {"nccl.sizes_differed": "two ends of a transfer differ in size; data: got, room (bytes)"}
LINES = tuple(
    line("nccl.sizes_differed", word, text, "got", "room")
    for word, text in (
        (
            "essage truncated",
            r"[Mm]essage truncated : receiving (?P<got>\d{1,18}) bytes instead of (?P<room>\d{1,18})",
        ),
        (
            "collective mismatch error",
            r"collective mismatch error.{0,20}local size (?P<room>\d{1,18}) "
            r"remote (?:size )?(?P<got>\d{1,18})",
        ),
        ("ismatched collective", r"Mismatched collective detected"),
    )
)

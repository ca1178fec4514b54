"""What DETAIL's check says of two ranks' calls, where a program prints it among words of its own.

>>> from diagnose.messages import said
>>> said("0: caught Detected mismatch between collectives on ranks. Rank 0 is running collective: C()", LINES)
('collective.prints_told', {'message': 'Detected mismatch between collectives on ranks. Rank 0 is running collective: C()'})
"""

# ruff: noqa: E501 (a pattern stays on one line)

from diagnose.messages import line

EVENTS = {"collective.prints_told": "two ranks' calls that differ, by DETAIL's check; data: message"}
LINES = (
    line(
        "collective.prints_told",
        "Detected mismatch between collectives",
        r"(?P<message>Detected mismatch between collectives on ranks\. .{0,2000})",
    ),
)

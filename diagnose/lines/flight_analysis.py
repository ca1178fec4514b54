"""What torch's own analyser of Flight Recorder dumps prints of a collective whose members differ.

>>> from diagnose.messages import said
>>> said("error msg: Culprit rank 3; Error type: COLLECTIVE_TYPE_MISMATCH, Expected collective type: 'a' does", LINES)
('flight.mismatch_told', {'what': 'COLLECTIVE_TYPE'})
"""  # noqa: E501

from diagnose.messages import line

EVENTS = {"flight.mismatch_told": "torch's analyser found members that differ; data: what"}
LINES = (
    line(
        "flight.mismatch_told",
        "Error type: ",
        r"Error type: (?P<what>SIZE_OR_SYNTAX|COLLECTIVE_TYPE|COLLECTIVE_DTYPE)_MISMATCH\b",
    ),
)

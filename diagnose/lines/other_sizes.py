"""That the sizes of a call differ between ranks, in the words of MPI and TensorFlow. They do not say whose.

>>> from diagnose.messages import said
>>> said("[n3:218] *** MPI_ERR_TRUNCATE: message truncated", LINES)
('collective.sizes_differed', {'text': 'MPI_ERR_TRUNCATE: message truncated'})
"""

from diagnose.messages import line, whole_match

EVENTS = {"collective.sizes_differed": "the sizes of a call differ between ranks; data: text"}
LINES = tuple(
    line("collective.sizes_differed", word, text, data=whole_match, by_rank=False)
    for word, text in (
        ("MPI_ERR_TRUNCATE", r"MPI_ERR_TRUNCATE: message truncated"),
        ("Message truncated;", r"Message truncated; \d{1,18} bytes received but buffer size is \d{1,18}"),
        ("Shape mismatch in the collective", r"Shape mismatch in the collective instance \d{1,9}\..{0,300}"),
    )
)

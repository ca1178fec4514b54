"""What DeepEP's kernels print on the device when a peer of an expert exchange does not deliver.

>>> from diagnose.messages import said
>>> said("DeepEP timeout for dispatch receivers, rank 3, responsible_channel = 5, tokens remained: 118", LINES)
('deepep.timed_out', {'what': 'dispatch receivers', 'group_rank': 3})
"""  # noqa: E501

from diagnose.messages import line

EVENTS = {"deepep.timed_out": "a kernel waited in vain for a peer; data: what, group_rank (who waits)"}
LINES = (
    line(
        "deepep.timed_out",
        "DeepEP timeout",
        r"DeepEP timeout (?:check failed: )?(?:for|:)? ?(?P<what>[\w ()-]{0,60}?), "
        r"rank(?: =)? (?P<group_rank>\d{1,6})",
        "group_rank",
    ),
)

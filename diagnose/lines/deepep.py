"""What DeepEP's kernels print on the device when a peer of an expert exchange does not deliver.

>>> from diagnose.messages import said
>>> said("DeepEP timeout for dispatch receivers, rank 3, responsible_channel = 5, tokens remained: 118", LINES)
('deepep.timed_out', {'what': 'dispatch receivers', 'group_rank': 3})
>>> said("DeepEP timeout check failed: rank = 6, thread = 2, value = 1024)", LINES)
('deepep.timed_out', {'what': 'check failed', 'group_rank': 6})
>>> said("DeepEP dispatch RDMA sender timeout, channel: 4, RDMA: 1, nvl: 6, dst RDMA lane: 0, head: 2", LINES)
('deepep.timed_out', {'what': 'dispatch RDMA sender'})
"""  # noqa: E501

from diagnose.messages import line

EVENTS = {"deepep.timed_out": "a kernel waited in vain for a peer; data: what, group_rank (who waits)"}
LINES = (
    line(
        "deepep.timed_out",
        "DeepEP timeout",
        r"DeepEP timeout (?:for )?(?P<what>[\w ()-]{0,60}?)[,:] rank(?: =)? (?P<group_rank>\d{1,6})",
        "group_rank",
    ),
    line("deepep.timed_out", "DeepEP ", r"DeepEP (?P<what>(?:dispatch|combine)[\w ()/-]{0,60}?) timeout\b"),
)

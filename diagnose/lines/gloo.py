"""What gloo says of its peers, in exceptions and in its own log.

>>> from diagnose.messages import said
>>> said("[gloo/transport/tcp/unbound_buffer.cc:78] Timed out waiting 4000ms for recv operation to complete", LINES)
('gloo.timed_out', {'wait_ms': 4000, 'operation': 'recv'})
"""  # noqa: E501

from diagnose.messages import line, numbers

EVENTS = {
    "gloo.timed_out": "gloo waited in vain; data: wait_ms, operation",
    "gloo.connection_closed": "a neighbour's socket closed; data: peer",
    "gloo.connection_reset": "a neighbour aborted; data: peer",
    "gloo.size_mismatched": "a message was larger than the room for it; data: got, room (bytes)",
    "gloo.barrier_failed": "rank 0 names the ranks late for monitored_barrier; data: ranks, wait_ms",
}
PEER = r"(?P<peer>\[[\w.:%]{1,60}\]:\d{1,5})"
LINES = (
    line(
        "gloo.timed_out",
        "imed out waiting ",
        r"Timed out waiting (?P<wait_ms>\d{1,15})ms for (?P<operation>\w+) operation to complete",
        "wait_ms",
    ),
    line("gloo.connection_closed", "onnection closed by peer", rf"Connection closed by peer {PEER}"),
    line("gloo.connection_reset", "onnection reset by peer", rf"Read error {PEER}: Connection reset by peer"),
    line(
        "gloo.size_mismatched",
        "op.preamble.length",
        r"op\.preamble\.length <= op\.nbytes\. (?P<got>\d{1,18}) vs (?P<room>\d{1,18})\b",
        "got",
        "room",
    ),
    line(
        "gloo.barrier_failed",
        "failed to pass monitoredBarrier",
        r"\bRanks? (?P<ranks>[\d, ]{1,2000}) failed to pass monitoredBarrier in (?P<wait_ms>\d{1,15}) ms",
        data=lambda found: {"ranks": numbers(found["ranks"]), "wait_ms": int(found["wait_ms"])},
    ),
)

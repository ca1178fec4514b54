"""Serving engines that wait for one of their workers: once while it compiles, again and again where it hangs.

>>> from diagnose.messages import said
>>> said("[shm_broadcast.py:501] No available shared memory broadcast block found in 60 seconds.", LINES)
('engine.waited', {'wait_s': 60})
"""

from diagnose.messages import line

EVENTS = {"engine.waited": "a worker did not take what it was sent for a while; data: wait_s"}
LINES = (
    line(
        "engine.waited",
        "shared memory broadcast block",
        r"No available shared memory broadcast block found in (?P<wait_s>\d{1,6}) second",
        "wait_s",
    ),
)

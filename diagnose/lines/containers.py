"""What a container's runtime says of its end: `docker inspect`, `docker ps`, compose, podman.

>>> from diagnose.messages import said
>>> said('            "OOMKilled": true,', LINES)
('platform.oom_told', {'by': 'docker', 'text': '"OOMKilled": true'})
"""

import re
from functools import partial

from diagnose.messages import Data
from diagnose.messages import line as any_line

EVENTS = {
    "platform.oom_told": "the platform saw it killed for memory; data: by, text",
    "container.exited": "a container ended; data: by, exit_code",
}


def told(found: re.Match[str]) -> Data:
    code = found.groupdict().get("exit_code")
    return {"by": "docker"} | ({"text": found[0]} if code is None else {"exit_code": int(code)})


line = partial(any_line, data=told, source="platform_log", by_rank=False)
LINES = (
    line(
        "platform.oom_told",
        "OOMKilled",
        r"\"OOMKilled\": true|\bOOMKilled=true|\"reason\": {0,2}\"OOMKilled\"",
    ),
    line("platform.oom_told", "oom_kill ", r"^oom_kill [1-9]\d{0,9}$"),  # memory.events of its cgroup
    line("platform.oom_told", "container oom", r"container oom\b.{0,200}"),
    line("container.exited", "Exit Code:", r"Exit Code:\s{1,20}(?P<exit_code>\d{1,3})\b"),
    line("container.exited", "Exited (", r"\bExited \((?P<exit_code>\d{1,3})\)"),
    line("container.exited", "exited with code", r"^\S{1,80} exited with code (?P<exit_code>\d{1,3})\s*$"),
    line("container.exited", "unner failed with", r"Runner failed with exit code: (?P<exit_code>\d{1,3})"),
    line("container.exited", '"ExitCode"', r"\"ExitCode\": (?P<exit_code>\d{1,3})\b"),
)

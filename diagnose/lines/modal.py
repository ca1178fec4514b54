"""What Modal says of a container or a function call: in a task's log, an app's log, or its client's output.

>>> from diagnose.messages import said
>>> said("Container terminated due to preemption. Your Function will be restarted with the same input.", LINES)
('platform.preempted', {'by': 'modal', 'text': 'Container terminated due to preemption'})
"""

# ruff: noqa: E501 (a pattern stays on one line)

import re

from diagnose.messages import Data, Pattern
from diagnose.messages import line as any_line

EVENTS = {
    "platform.preempted": "the platform took the machine back; data: by (which platform), text",
    "platform.cancelled": "somebody asked the platform to end it; data: by, text",
    "platform.timed_out": "the platform's limit of time was reached; data: by, limit_s, text",
    "platform.heartbeat_lost": "the platform ended a container that did not answer; data: by, text",
    "platform.init_failed": "the program was never reached; data: by, text",
    "platform.oom_told": "the platform saw it killed for memory; data: by, text",
    "platform.call_ended": "a client was told that its call ended, not why; data: by, text",
}


def line(kind: str, word: str, text: str) -> Pattern:
    return any_line(kind, word, rf"(?P<text>{text})", data=told, source="platform_log", by_rank=False)


def told(found: re.Match[str]) -> Data:
    data: Data = {name: text for name, text in found.groupdict().items() if text is not None}
    limit = data.pop("limit_s", None)
    return {"by": "modal", **data} | ({"limit_s": int(str(limit))} if limit else {})


LINES = (
    line("platform.preempted", "due to preemption", r"[Cc]ontainer terminated due to preemption"),
    line("platform.cancelled", "user termination request", r"terminated due to user termination request"),
    line("platform.timed_out", "hit its timeout of", r"hit its timeout of(?: (?P<limit_s>\d{1,9})s)?"),
    line("platform.timed_out", "TimeoutError", r"\b(?:Function|Sandbox)TimeoutError\b"),
    line(
        "platform.heartbeat_lost",
        "eartbeat",
        r"(?:[Cc]ontainer|[Tt]ask|[Ww]orker|[Rr]unner).{0,80}(?:missed|lost|stopped|no|without|failed to send)"
        r" (?:\w{1,20} ){0,2}heartbeats?\b.{0,120}(?:terminat|kill|shut).{0,40}"
        r"|(?:[Cc]ontainer|[Rr]unner).{0,40}(?:terminated|killed|shut down).{0,60}heartbeat.{0,60}",
    ),
    line("platform.init_failed", "ImageBuildError", r"\bImageBuildError\b.{0,200}"),
    line("platform.init_failed", "Image build for", r"Image build for im-\w{1,40} .{0,20}(?:failed|terminated).{0,160}"),
    line("platform.oom_told", "out of memory", r"(?:[Cc]ontainer|[Rr]unner|[Ff]unction|[Tt]ask)\b.{0,60}"
         r"(?:ran|was killed|terminated|exited).{0,40}out of memory"),
    line("platform.call_ended", "was cancelled by user or a failure", "Function call was cancelled by user or a failure"),
)  # fmt: skip

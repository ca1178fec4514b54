"""What Kubernetes says of pods and nodes: `kubectl get events`, `describe`, `get pods`, the kubelet's own words.

>>> from diagnose.messages import said
>>> said("4m  Warning  Evicted  pod/w-2  The node was low on resource: memory. Threshold quantity: 1Gi", LINES)
('platform.evicted', {'by': 'kubernetes', 'text': 'The node was low on resource: memory', 'resource': 'memory'})
"""

# ruff: noqa: E501 (a pattern stays on one line)

import re

from diagnose.messages import Data, Pattern
from diagnose.messages import line as any_line

EVENTS = {
    "platform.evicted": "a pod was evicted for what it used, or with its node; data: by, resource, text",
    "platform.preempted": "the platform took the machine back; data: by, text",
    "platform.oom_told": "the platform saw it killed for memory; data: by, text",
    "platform.unscheduled": "no node had what it asks for; data: by, text",
    "platform.scheduled": "it was given a node; data: by, text",
    "platform.init_failed": "the program was never reached; data: by, text",
    "platform.node_lost": "a node went away under its pods; data: by, text",
    "platform.timed_out": "the platform's limit of time was reached; data: by, text",
}


def line(kind: str, word: str, text: str) -> Pattern:
    return any_line(kind, word, text, data=told, source="platform_log", by_rank=False)


def told(found: re.Match[str]) -> Data:
    named = {name: text for name, text in found.groupdict().items() if text is not None}
    return {"by": "kubernetes", "text": found[0], **named}


LINES = (
    line("platform.evicted", "low on resource:", r"(?P<text>The node was low on resource: (?P<resource>[\w-]{1,40}))"),
    line("platform.evicted", "had condition", r"The node had condition: \[?(?P<resource>\w{1,20}?)Pressure"),
    line("platform.evicted", "storage usage", r"(?:ephemeral local|emptyDir).{0,60}(?P<resource>storage|volume).{0,20} exceeds .{0,80}"),
    line("platform.evicted", "Evicted", r"(?:Reason:\s{1,40}|\"?reason\"?: ?\"?|Warning\s{1,20}|\d/\d\s{1,20})Evicted\b(?!.{0,400}low on resource).{0,200}"),
    line("platform.evicted", "DisruptionTarget", r"DisruptionTarget.{0,60}(?:EvictionByEvictionAPI|TerminationByKubelet|DeletionByTaintManager).{0,120}"),
    line("platform.preempted", "Preempt", r"(?P<text>\bPreempted (?:by (?:a )?(?:pod )?|to accommodate ).{1,160}|PreemptionByScheduler.{0,80}"
         r"|Preempted in order to admit critical pod|PreemptionByKubeScheduler)"),
    line("platform.preempted", "imminent node shutdown", r"Pod was terminated in response to imminent node shutdown"),
    line("platform.preempted", "marked for deletion", r"(?:TaintManagerEviction|Marking for deletion Pod).{0,160}"),
    line("platform.preempted", "Marking for deletion", r"Marking for deletion Pod .{0,160}"),
    line("platform.preempted", "nterruption", r"(?i:spot|preemptible|scheduled)[- ](?i:instance[- ])?(?i:interruption|termination)\b.{0,160}"),
    line("platform.preempted", "SPOT_ITN", r"SPOT_ITN"),
    *(
        line("platform.preempted", word, rf"(?<!if the )(?:[Ii]nstance|VM|[Nn]ode|[Pp]od|[Jj]ob|[Ww]orkload|[Cc]luster)\b(?!.{{0,200}}\bhappen if ).{{0,120}} {word}.{{0,80}}")
        for word in ("was preempted", "is preempted", "been preempted")
    ),
    line("platform.preempted", "TerminationNotice", r"(?:Spot|Preempt)\w{0,20}TerminationNotice.{0,120}"),
    line("platform.oom_told", "OOMKilled", r"(?<!\")\bOOMKilled\b(?!\"?[:=] ?\"?\w).{0,80}"),
    line("platform.unscheduled", "nodes are available", r"\d{1,6}/\d{1,6} nodes are available: .{0,300}"),
    line("platform.scheduled", "uccessfully assigned", r"Successfully assigned .{1,200}"),
    *(
        line("platform.init_failed", word, rf"{word}\b.{{0,200}}")
        for word in (
            "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError",
            "CreateContainerError", "RunContainerError", "failed to create containerd task",
            "failed to create shim task", "nvidia-container-cli: initialization error",
        )
    ),
    line("platform.node_lost", "NodeNotReady", r"NodeNotReady\b.{0,160}"),
    line("platform.node_lost", "NotReady,", r"\bNotReady,.{0,60}"),
    line("platform.node_lost", "NodeStatusUnknown", r"NodeStatusUnknown.{0,160}"),
    line("platform.timed_out", "DeadlineExceeded", r"(?:Reason:|reason\W{1,4}|Warning|Job).{0,60}DeadlineExceeded.{0,160}"),
    line("platform.timed_out", "active longer than", r"was active (?:on the node )?longer than (?:the )?specified deadline"),
)  # fmt: skip

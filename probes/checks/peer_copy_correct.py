"""Whether what one GPU copies to another arrives: a bad path drops data and reports success."""

from probes.checking import trial
from probes.checking.check import Measurement, Target, measured, skipped

CHECK = trial.follower("deep", ("gpus",))
WHERE = "a pattern copied between GPUs in the trial"


def measure(target: Target) -> list[Measurement]:
    found = []
    for line in trial.held(target).of("peer_copy"):
        subject = f"gpu {line['index']} - gpu {line.get('peer')}"
        if line.get("refusal"):
            found.append(skipped(subject, WHERE, line["refusal"]))
        else:
            found.append(measured(subject, WHERE, is_right=line["is_right"], has_access=line["has_access"]))
    return found

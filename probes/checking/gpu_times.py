"""What the trial timed on each GPU."""

from collections.abc import Callable, Mapping

from probes.checking import trial
from probes.checking.check import Measurement, Target, Value, measured, skipped
from probes.checking.trial_files import Said

WHERE = "timed calls in the trial"


def of_each(target: Target, kind: str, values: Callable[[Said], Mapping[str, Value]]) -> list[Measurement]:
    """One measurement a GPU, of the trial's lines of this kind; by its model it is known what to expect."""
    return [of_gpu(line, values) for line in trial.held(target).of(kind)]


def of_gpu(line: Said, values: Callable[[Said], Mapping[str, Value]]) -> Measurement:
    subject = f"gpu {line['index']}"
    if line.get("refusal"):
        return skipped(subject, WHERE, line["refusal"])
    return measured(subject, WHERE, **values(line), gpu_model=line["model"], num_gpus=line["num_gpus"])

"""What the reduced preset of a hung job showed is written down in that job's run, and judged with it."""

from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from diagnose import reader
from diagnose.journal import segment
from diagnose.playbook import Playbook
from diagnose.reduction import HUNG
from diagnose.verdict import Verdict
from probes.redact import redact_argv

FACT = "reduced.answered"  # what facts make of it
WRITER = "reduced"  # its one segment stands beside those of the run


def is_wanted(verdict: Verdict | None) -> bool:
    """Whether the job hung: what crashed, or only was slow, answers by itself."""
    return verdict is not None and verdict.symptom in HUNG


def told(
    full: Verdict, reduced: Verdict | None, run: Path, command: Sequence[str], code: int, is_cut: bool
) -> dict[str, object]:
    """The data of `reduced.ended`; `code` is negative for a signal, `run` the reduced one's directory."""
    return {
        "reduced_run": run.name,
        "command": redact_argv(list(command)),
        "full_symptom": full.symptom,
        "symptom": reduced.symptom if reduced else "unknown",
        "exit_code": code if code >= 0 else None,
        "signal": -code if code < 0 else None,
        "num_ranks": reduced.run.num_ranks if reduced else None,
        "full_num_ranks": full.run.num_ranks,
        "is_cut": is_cut,
    }


def answer(run: Path, attempt: str, data: dict[str, object], book: Playbook) -> Verdict:
    """Write the pair down in the hung job's run, and judge that anew. Raises OSError, BundleError."""
    frame = {"run": run.name, "attempt": attempt, "node": "", "level": "info", "source": "run"}
    segment(run, attempt, WRITER, 1, "reduced.ended", {**frame, **data})
    verdict = reader.judge(run, str(run), book)
    verdict = replace(verdict, run=replace(verdict.run, name=run.name))
    reader.write(run, verdict)
    return verdict

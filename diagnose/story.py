"""What was seen during a run, as a person would have watched it: a few lines out of its events."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from diagnose.model import fold, named

WORTH_A_LINE_S = 3.0
MOST_SHOWN = 60  # characters of a message
SAID_AT = re.compile(r"\[/?[^\]\s]+:\d+\] ")  # gloo's own source line before its words
Line = dict[str, object]


def events(run: Path) -> list[Line]:
    """The event lines of a run directory, oldest first; torn ones left out."""
    found: list[Line] = []
    for path in sorted(run.glob("attempts/*/events/*.jsonl")):
        for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                line = json.loads(text)
            except ValueError:
                continue
            if isinstance(line, dict) and isinstance(line.get("time"), int | float):
                found.append(line)
    return sorted(found, key=lambda line: float(str(line["time"])))


def shortened(message: str) -> str:
    """The first line of an exception's message, where it is cut marked as cut."""
    first = SAID_AT.sub("", message.partition("\n")[0], count=1)
    return first if len(first) <= MOST_SHOWN else first[:MOST_SHOWN].rstrip() + " ..."


def told(line: Line) -> str:
    """One event in words; empty where a person needs not hear of it."""
    rank = line.get("rank")
    who = f"rank {rank}"
    match line["event"]:
        case "command.started":
            return "the command was started"
        case "step.first_completed":
            return f"{who}: first step done"
        case "phase.ended" if float(str(line.get("seconds") or 0)) >= WORTH_A_LINE_S:
            return f"{who}: {line.get('phase')} took {line['seconds']:.0f} s"
        case "job.stalled":
            ranks = line.get("ranks")
            silent = [r for r in ranks if isinstance(r, int)] if isinstance(ranks, list) else []
            return f"no progress for {line.get('silent_s', 0):.0f} s on {named(silent)}: took evidence"
        case "job.progressed":
            return f"progress again after {line.get('after_s', 0):.0f} s"
        case "rank.died":
            how = f"by signal {line['signal']}" if line.get("signal") else f"with {line.get('exit_code')}"
            return f"{who}: ended {how}" if line.get("signal") or line.get("exit_code") else ""
        case "rank.stopped":
            return f"{who}: stopped by a signal"
        case "exception.raised" if rank is not None:
            return f"{who}: raised {line.get('type')}: {shortened(str(line.get('message')))}"
        case "command.ended":
            how = f"signal {line['signal']}" if line.get("signal") else f"exit code {line.get('exit_code')}"
            return f"the command ended: {how}"
    return ""


def seen(lines: list[Line]) -> Iterator[str]:
    """`  12.3 s  words` for each event that matters; what several ranks did alike is one line."""
    begun = float(str(lines[0]["time"])) if lines else 0.0
    folded: dict[str, tuple[float, list[int]]] = {}
    taken: set[int] = set()
    for line in lines:
        rank = line.get("rank")
        if line["event"] == "stack.dumped" and isinstance(rank, int):
            taken.add(rank)
        if words := told(line):
            shared = words.removeprefix(f"rank {rank}: ") if isinstance(rank, int) else words
            _, ranks = folded.setdefault(shared, (float(str(line["time"])) - begun, []))
            if isinstance(rank, int):
                ranks.append(rank)
    for words, (after, ranks) in folded.items():
        yield f"{after:7.1f} s  {named(ranks) + ': ' if ranks else ''}{words}"
    if taken:
        yield f"            stacks of rank{'s' if len(taken) > 1 else ''} {fold(sorted(taken))} in the bundle"

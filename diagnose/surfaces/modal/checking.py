"""The pre-flight in a container: `diagnose preflight` where a command would run, in its environment there."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from diagnose import environment
from diagnose.interpreter import interpreter, torch_version
from probes.layout import elastic_dir

NAME = "preflight.json"  # as the command names its report
MOST_FAILED = 20


class _Check(msgspec.Struct):
    id: str
    title: str
    outcome: str
    reason: str


class _Report(msgspec.Struct):
    checks: list[_Check]


def words(spec: Mapping[str, Any], folder: Path) -> list[str]:
    """What `diagnose` is called with; the report is to lie in `folder`."""
    given = [*map(str, spec["checks"]), "--run-dir", str(folder), "--root", str(folder.parents[2])]
    return ["preflight", *given, "--", *map(str, spec["command"])]


def variables(spec: Mapping[str, Any], given: Mapping[str, str], attempt: str) -> dict[str, str]:
    """What `diagnose run` would make of the container's environment for the command."""
    command = list(map(str, spec["command"]))
    policies = environment.load(str(spec.get("env") or "policy"))
    spool = tempfile.mkdtemp(prefix="dg-")
    for folder in (f"attempts/{attempt}/flight/watchdog", "pipes", "elastic"):
        Path(spool, folder).mkdir(parents=True)
    fill = {"spool": spool, "attempt": attempt, "elastic": elastic_dir(spool)}
    python = interpreter(command, given) if command else None
    torch = torch_version(python, given) if python else ""
    return environment.plan(command, given, policies, fill, torch).environ


def report(folder: Path) -> bytes:
    """The report as it lies there; empty where there is none."""
    try:
        return (folder / NAME).read_bytes()
    except OSError:
        return b""


def failed(folder: Path) -> list[str]:
    """The checks that failed, each with why; none where there is no report, or nothing failed."""
    try:
        checks = msgspec.json.decode(report(folder), type=_Report).checks
    except msgspec.DecodeError:
        return []
    bad = [one for one in checks if one.outcome == "fail"]
    return [f"{one.id} not so: {one.title}: {one.reason}"[:300] for one in bad[:MOST_FAILED]]


def is_made(folder: Path) -> bool:
    return (folder / NAME).is_file()

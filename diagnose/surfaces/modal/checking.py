"""The pre-flight in a container: `diagnose preflight` where the command would run, in the environment it would get."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from diagnose import environment
from diagnose.interpreter import interpreter, torch_version
from probes.layout import elastic_dir

NAME = "preflight.json"  # as the command names its report
MOST_FAILED, LIMIT = 20, 1 << 20


def words(spec: Mapping[str, Any], folder: Path) -> list[str]:
    """What `diagnose` is called with; the report is to lie in `folder`."""
    given = [*map(str, spec["checks"]), "--run-dir", str(folder)]
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


def report(folder: Path) -> Any:
    """The report as plain data; None where there is none, or it is too large to be handed back."""
    try:
        data = (folder / NAME).read_bytes()
        return msgspec.json.decode(data) if len(data) <= LIMIT else None
    except (OSError, msgspec.DecodeError):
        return None


def failed(folder: Path) -> list[str]:
    """The checks that failed, each with why; none where there is no report, or nothing failed."""
    found = report(folder)
    checks = found.get("checks", []) if isinstance(found, dict) else []
    return [
        f"{one.get('id')} not so: {one.get('title')}: {one.get('reason')}"[:300]
        for one in checks
        if one.get("outcome") == "fail"
    ][:MOST_FAILED]


def is_made(folder: Path) -> bool:
    return os.path.isfile(folder / NAME)

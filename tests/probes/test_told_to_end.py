"""A SIGTERM counts from the moment on at which the kernel shows a handler for it."""

import sys

import pytest

from .conftest import Job

AT_ONCE = """
import importlib, os, signal, sys
install = signal.signal
def at_once(number, handler):
    before = install(number, handler)
    if number == signal.SIGTERM:
        os.kill(os.getpid(), number)
    return before
signal.signal = at_once
sys.exit(importlib.import_module(sys.argv[1]).main(sys.argv[2:]))
"""


@pytest.mark.parametrize(
    ("helper", "more"),
    [
        ("probes.collector", ["--run-dir", "run", "--parent", "1"]),
        ("probes.agent", ["--run", "test", "--parent-pid", "0"]),
    ],
)
def test_a_helper_that_is_told_to_end_as_its_handler_is_set_ends(job: Job, helper: str, more: list[str]):
    given = [str(job.run_dir) if word == "run" else word for word in more]
    process = job.popen([sys.executable, "-c", AT_ONCE, helper, "--spool", str(job.spool), *given])
    assert process.wait(60) == 0

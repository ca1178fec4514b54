"""Makes checks on one recorded machine after the other, each in a fork of this process: Python starts once.

Reads lines of JSON, [environment, target, names, file]; prints an empty line once that file is written.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence

import pynvml  # noqa: F401  # for all children at once

from probes.checking import __main__ as checking


def make(environ: Mapping[str, str], target: Mapping[str, object], names: Sequence[str], file: str) -> None:
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    os.environ.update(environ)
    os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), 1)
    code = 70
    try:
        code = checking.main(["--target", json.dumps(target), "--budget", "40", *names])
        sys.stdout.flush()
    finally:
        os._exit(code)


if __name__ == "__main__":
    checking.chosen([])
    for line in sys.stdin:
        make(*json.loads(line))
        print(flush=True)

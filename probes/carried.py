"""The probes in a container that had nothing of ours: `python probes.pyz find|look ...`.

The folder of the zipapp is this visit's own, and goes with it; py-spy may lie there, too. What is printed is
one JSON line about the place, then the finder's lines, or the run directory as a compressed tar.
"""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tarfile
from contextlib import suppress
from typing import Any, BinaryIO

from probes import deadline, stacks

KILLED_S, VERSION_S = 5.0, 3.0
MAX_BYTES = 256 << 20  # of evidence that is sent back


def place() -> dict[str, Any]:
    """What decides which py-spy runs here, and what a person wants to know of the place."""
    libc = " ".join(platform.libc_ver()).strip()
    py_spy = stacks.find_py_spy()
    told = deadline.run([py_spy, "--version"], VERSION_S) if py_spy else None
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "libc": libc or "musl, or another that does not say",
        "py_spy": py_spy if told and told.code == 0 else None,
        "py_spy_reason": stacks.why_not(told) if told and told.code != 0 else "",
        "uid": os.getuid(),
    }


def look(folder: str, words: list[str], limit_s: float, out: BinaryIO) -> None:
    """Run `probes.attach` on the job in `folder`, and send what it took, even if it did not end."""
    run = os.path.join(folder, "run")
    os.makedirs(run, mode=0o700, exist_ok=True)
    argv = [sys.executable, "-I", "-S", "-B", sys.argv[0], "attach", "--run-dir", run, *words]
    errors = os.path.join(folder, "errors.txt")
    with open(os.path.join(folder, "job.json"), "rb") as job, open(errors, "wb") as file:
        child = subprocess.Popen(
            argv, stdin=job, stdout=subprocess.DEVNULL, stderr=file, start_new_session=True
        )
    try:
        code: int | None = child.wait(limit_s)
    except subprocess.TimeoutExpired:
        code = None
    finally:
        with suppress(OSError):
            os.killpg(child.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        child.wait(KILLED_S)
    with open(errors, "rb") as file:
        said = file.read(1 << 16).decode(errors="replace").strip().splitlines()
    head(out, {"code": code, "errors": said[-1][:500] if said else ""})
    send(run, out)


def send(run: str, out: BinaryIO) -> None:
    """The files below `run` as a compressed tar; what no longer fits is left out, the largest first."""
    found = []
    for base, _, names in os.walk(run):
        for name in names:
            with suppress(OSError):
                path = os.path.join(base, name)
                found.append((os.path.getsize(path), path))
    left = MAX_BYTES
    with tarfile.open(fileobj=out, mode="w|gz", format=tarfile.PAX_FORMAT) as archive:
        for size, path in sorted(found):
            if size <= left:
                left -= size
                archive.add(path, os.path.relpath(path, run), recursive=False)


def head(out: BinaryIO, more: dict[str, Any]) -> None:
    """The first line."""
    out.write(json.dumps({**place(), **more}).encode() + b"\n")
    out.flush()


def main(argv: list[str] | None = None) -> int:
    """Find the jobs of this container, or look at one."""
    parser = argparse.ArgumentParser(prog="python probes.pyz", description=main.__doc__)
    parser.add_argument("verb", choices=["find", "look", "attach"])
    parser.add_argument("--limit", type=float, default=30.0, metavar="S", help="for the look (default 30)")
    given, words = parser.parse_known_args(argv)
    folder = os.path.dirname(os.path.abspath(sys.argv[0]))
    if given.verb == "attach":
        from probes import attach

        return attach.main(words)
    os.environ["PATH"] = os.pathsep.join([folder, os.environ.get("PATH") or os.defpath])
    if given.verb == "look":
        look(folder, words, given.limit, sys.stdout.buffer)
        return 0
    from probes.finding import __main__ as finder

    head(sys.stdout.buffer, {})
    return finder.main(words)


if __name__ == "__main__":
    sys.exit(main())

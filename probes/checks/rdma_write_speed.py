"""How fast each RDMA port writes, measured by perftest through the port back to this host."""

import re
import subprocess
import time
from collections.abc import Sequence

from probes import deadline
from probes.checking import machine, rdma
from probes.checking.check import Check, Measurement, Target, measured, skipped

CHECK = Check("deep", 240.0, needs=("rdma",), cost=("network",), alone=True)
PROGRAM, SECONDS, LIMIT_S = "ib_write_bw", 3, 15.0
PORT, MOST = 18515, 16
START_S = 0.5  # until the server listens
ROW = re.compile(r"^ *\d+ +\d+ +(\d+(?:\.\d+)?) +(\d+(?:\.\d+)?) +\d+(?:\.\d+)? *$", re.MULTILINE)


def measure(target: Target) -> list[Measurement]:
    program = machine.which(PROGRAM, target.environ)
    if not program:
        return [skipped("host", PROGRAM, "ib_write_bw (perftest) is not installed")]
    found = list(rdma.ports(target.environ))[:MOST]
    return [of(program, port, PORT + number) for number, port in enumerate(found)]


def of(program: str, port: rdma.Port, number: int) -> Measurement:
    words = [program, "-d", port.device, "-i", port.number, "-F", "--report_gbits", "-D", str(SECONDS)]
    words += ["-p", str(number)]
    where, limit = " ".join([*words, "localhost"]), rdma.rate(port.word("rate"))
    told, errors = pair(words)
    speed = average(told)
    if speed is None:
        return skipped(str(port), where, errors or "it told no bandwidth")
    return measured(
        str(port), where, gbits_per_s=speed, port_gbits_per_s=limit, share=speed / limit if limit else None
    )


def pair(words: Sequence[str]) -> tuple[str, str]:
    """What the client prints, and the last word of its errors; the server is ended with it."""
    with subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        time.sleep(START_S)
        done = deadline.run([*words, "localhost"], LIMIT_S)
        server.kill()
    errors = done.stderr.decode(errors="replace").strip().splitlines()
    return done.stdout.decode(errors="replace"), errors[-1][:200] if errors else ""


def average(text: str) -> float | None:
    """The average of perftest's table, in Gb/s.

    >>> average(" #bytes #iterations BW peak[Gb/sec] BW average[Gb/sec] MsgRate[Mpps]\\n"
    ...         " 65536 2246535 0.00 392.60 0.748826\\n")
    392.6
    """
    found = ROW.findall(text)
    return float(found[-1][1]) if found else None

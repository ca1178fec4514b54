"""Ask NCCL's RAS service for the state of a running job: one query, one deadline, nothing changed.

Queries are known to have crashed jobs (NVIDIA/nccl#1669, #1718, #1762, #2346: 2.26 to 2.29), so the agent
asks at a stall only with `DIAGNOSE_RAS=1`: plain `STATUS`, as JSON where it is known (2.28.7 and later).
"""

import argparse
import os
import socket
import sys
import time
from contextlib import suppress
from typing import NamedTuple

from probes.emit import open_log
from probes.files import atomic_write

DEFAULT = "localhost:28028"
MAX_BYTES = 64 << 20
CHUNK = 1 << 16


class Answer(NamedTuple):
    """What the service said; `error` is empty exactly when `body` is its whole answer."""

    body: bytes
    error: str
    seconds: float


class _Line:
    """A connection on which every step ends by one deadline. Raises OSError."""

    def __init__(self, host: str, port: int, deadline: float) -> None:
        self.deadline, self.kept = deadline, b""
        self.sock = socket.create_connection((host, port), self.left())

    def left(self) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left

    def say(self, line: str) -> None:
        self.sock.settimeout(self.left())
        self.sock.sendall(line.encode() + b"\n")

    def hear(self) -> bytes:
        """More bytes; none at the end."""
        self.sock.settimeout(self.left())
        return self.sock.recv(CHUNK)

    def line(self) -> str:
        """One line of the answer."""
        while b"\n" not in self.kept and len(self.kept) < CHUNK:
            part = self.hear()
            if not part:
                raise ConnectionError("the connection was closed")
            self.kept += part
        line, _, self.kept = self.kept.partition(b"\n")
        return line.decode(errors="replace").strip()

    def rest(self) -> bytes:
        """All that is left, until the service closes the connection."""
        body = bytearray(self.kept)
        while part := self.hear():
            body += part
            if len(body) > MAX_BYTES:
                raise OSError(f"more than {MAX_BYTES >> 20} MB")
        return bytes(body)


def address(given: str) -> tuple[str, int]:
    """Host and port of `host:port`, `[v6]:port`, `host` or `:port`.

    >>> address("10.0.0.1:9"), address("[::1]:9"), address("node-1")
    (('10.0.0.1', 9), ('::1', 9), ('node-1', 28028))
    """
    host, colon, port = given.rpartition(":")
    if not colon or not port.isdigit():
        host, port = given, DEFAULT.rpartition(":")[2]
    return host.strip("[]") or "localhost", int(port)


def ask(where: str, limit_s: float, collect_s: float = 5.0) -> Answer:
    """The service's answer by the deadline; `collect_s` is how long it may wait for the other processes."""
    begun = time.monotonic()

    def done(body: bytes, error: str) -> Answer:
        return Answer(body, error, time.monotonic() - begun)

    line = None
    try:
        line = _Line(*address(where), begun + limit_s)
        return done(_talk(line, collect_s), "")
    except (OSError, OverflowError) as error:
        return done(b"", getattr(error, "strerror", None) or str(error))
    finally:
        if line is not None:
            with suppress(OSError):
                line.sock.close()


def _talk(line: _Line, collect_s: float) -> bytes:
    line.say("CLIENT PROTOCOL 2")
    hello = line.line()
    if not hello.upper().startswith("SERVER PROTOCOL"):
        raise OSError(f"no RAS service: it said {hello[:100]!r}")
    line.say(f"TIMEOUT {collect_s:.0f}")
    line.line()  # older ones may not know it, and go on
    line.say("SET FORMAT json")
    line.line()  # OK, or an error where text is the only form
    line.say("STATUS")
    body = line.rest()
    if not body:
        raise OSError("the answer is empty")
    return body


def main(argv: list[str] | None = None) -> int:
    """Ask NCCL's RAS service on this node what state the job is in; prints event lines."""
    parser = argparse.ArgumentParser(prog="python -m probes.ras", description=main.__doc__)
    parser.add_argument(
        "address", nargs="?", default=os.environ.get("NCCL_RAS_ADDR") or DEFAULT,
        help=f"host:port (default: $NCCL_RAS_ADDR, else {DEFAULT})",
    )  # fmt: skip
    parser.add_argument("--out", default="ras.txt", metavar="FILE", help="where the answer goes (ras.txt)")
    parser.add_argument("--limit", type=float, default=15.0, metavar="S", help="seconds to wait (default 15)")
    given = parser.parse_args(argv)
    log = open_log("ras")
    answer = ask(given.address, given.limit)
    if answer.error:
        log.warning("ras.refused", address=given.address, reason=answer.error)
        return 0
    atomic_write(given.out, answer.body)
    log.info("ras.dumped", path=given.out, num_bytes=len(answer.body), seconds=round(answer.seconds, 3))
    return 0


if __name__ == "__main__":
    sys.exit(main())

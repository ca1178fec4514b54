"""How everything beside the ranks speaks: one JSON object a line, one write a line, never a secret in it."""

import errno
import os
import sys
import time
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from typing import Any

import structlog

from probes.here import node
from probes.redact import redact_value

_ENVELOPE = ("time", "event", "source", "run", "attempt", "node", "rank", "level")

Log = structlog.typing.FilteringBoundLogger


def _shape(_: Any, __: str, said: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Envelope first, in the order of the contract; then the data, redacted. A rank of None is left out."""
    said.setdefault("time", round(time.time(), 6))
    said.setdefault("mono", round(time.monotonic(), 6))
    line: dict[str, Any] = {"v": 1}
    for name in _ENVELOPE:
        value = said.pop(name, None)
        if name != "rank" or value is not None:
            line[name] = value
    return line | {name: redact_value(value) for name, value in said.items()}


def grumble(line: str) -> None:
    """A line to stderr, which may be a file on the same full disk."""
    with suppress(OSError):
        print(line, file=sys.stderr, flush=True)


class _Lines:
    """Appends to a file by one `os.write` a line; a torn last line of an earlier writer is ended first."""

    def __init__(self, path: str) -> None:
        self.path, self.fd, self.is_torn = path, -1, True
        try:
            self._open()
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise

    def _open(self) -> None:
        os.makedirs(os.path.dirname(self.path) or ".", mode=0o700, exist_ok=True)
        self.fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def write(self, line: str) -> None:
        raw = line.encode("utf-8", "backslashreplace") + b"\n"
        try:
            if self.fd < 0:
                self._open()
            size = os.fstat(self.fd).st_size if self.is_torn else 0
            if size and os.pread(self.fd, 1, size - 1) != b"\n":
                raw = b"\n" + raw
            self.is_torn = os.write(self.fd, raw) != len(raw)
        except OSError as error:  # a full spool must not end the one who watches
            grumble(f"event not written: {error}")


def _to_stdout(line: str) -> None:
    print(line, flush=True)


class _Sink:
    def __init__(self, write: Callable[[str], None]) -> None:
        self.msg = self.info = self.warning = self.error = self.debug = write


def open_log(source: str, path: str | None = None, run: str | None = None, attempt: str | None = None) -> Log:
    """A structlog logger that writes event lines to `path`, else to stdout: `log.info(kind, rank=3, ...)`.

    `run` and `attempt` default to DIAGNOSE_RUN and DIAGNOSE_ATTEMPT. Raises OSError if `path` does not open.
    """
    logger: Log = structlog.wrap_logger(
        _Sink(_Lines(path).write if path else _to_stdout),
        processors=[
            structlog.processors.add_log_level,
            _shape,
            structlog.processors.JSONRenderer(separators=(",", ":"), ensure_ascii=False, default=str),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(0),
        cache_logger_on_first_use=True,
        source=source,
        run=run if run is not None else os.environ.get("DIAGNOSE_RUN", ""),
        attempt=attempt if attempt is not None else os.environ.get("DIAGNOSE_ATTEMPT", "1"),
        node=node(),
    )
    return logger

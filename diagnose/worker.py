"""A reader in a process of its own, for files that may try anything: limits on memory, killed when late.

Started by `pool`. Each request is a line `{"source", "where", "length"}` and so many bytes; each answer is a
line with a length, and so many bytes of events.
"""

import gc
import importlib
import io
import resource
import sys
from typing import BinaryIO

import msgspec

from diagnose.model import Event, Member
from diagnose.pipeline import clean

MEMORY = 768 << 20  # address space: the interpreter takes 100 MB of it, an honest dump of 2000 entries 5 MB


class Request(msgspec.Struct):
    """One file to read, by a module of `diagnose.sources`, or another of ours by its full name."""

    source: str
    where: str
    length: int


def answer(request: Request, data: bytes) -> list[Event]:
    name = request.source if "." in request.source else f"diagnose.sources.{request.source}"
    source = importlib.import_module(name)
    member = Member(request.where, len(data), lambda: io.BytesIO(data))
    return [clean(event) for event in source.parse(member)]


def serve(asked: BinaryIO, answers: BinaryIO) -> None:
    while line := asked.readline():
        request = msgspec.json.decode(line, type=Request)
        events = answer(request, asked.read(request.length))
        body = msgspec.msgpack.encode(events)
        answers.write(b"%d\n" % len(body))
        answers.write(body)
        answers.flush()
        if any(event.kind == "source.unreadable" for event in events):
            gc.collect()


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    gc.disable()  # dumps hold no cycles, and the collector would take a third of the time
    serve(sys.stdin.buffer, sys.stdout.buffer)

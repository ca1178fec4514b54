"""Ask the control servers of many ranks at once: POST over unix sockets, no threads, one deadline for all."""

import argparse
import json
import os
import selectors
import socket
import time
from collections.abc import Hashable, Mapping
from contextlib import suppress
from typing import NamedTuple, TypeVar

K = TypeVar("K", bound=Hashable)


class Reply(NamedTuple):
    """An answer; `error` is empty exactly when the server answered 200."""

    body: bytes
    error: str
    seconds: float


class _Ask:
    def __init__(self, path: str, handler: str) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.setblocking(False)
        self.started = time.monotonic()
        self.data = bytearray()
        head = f"POST /handler/{handler} HTTP/1.1", "Host: rank", "Content-Length: 0", "Connection: close"
        self.out = ("\r\n".join(head) + "\r\n\r\n").encode()
        self.error = ""
        try:
            self.sock.connect(path)
        except OSError as error:  # EAGAIN too: the backlog of a rank that accepts nothing is full
            self.error = f"no connection: {os.strerror(error.errno or 0)}"

    def step(self) -> bool:
        """Send or receive what can be; True when the answer is complete."""
        try:
            if self.out:
                self.out = self.out[self.sock.send(self.out) :]
                return False
            part = self.sock.recv(1 << 18)
        except BlockingIOError:
            return False
        except OSError as error:
            self.error = f"connection lost: {os.strerror(error.errno or 0)}"
            return True
        self.data += part
        return not part or _is_complete(self.data)

    def reply(self, is_done: bool) -> Reply:
        """Close and judge."""
        self.sock.close()
        seconds = time.monotonic() - self.started
        if self.error or not is_done:
            return Reply(b"", self.error or f"no answer within {seconds:.1f} s", seconds)
        status, body = parse_answer(bytes(self.data))
        return Reply(body, "" if status == 200 else f"status {status}: {body[:200]!r}", seconds)


def _is_complete(data: bytearray) -> bool:
    head, is_head, body = data.partition(b"\r\n\r\n")
    length = _length(bytes(head))
    return bool(is_head) and length is not None and len(body) >= length


def _length(head: bytes) -> int | None:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length" and value.strip().isdigit():
            return int(value)
    return None


def parse_answer(data: bytes) -> tuple[int, bytes]:
    """Status and body of an HTTP answer; status 0 for anything else.

    >>> parse_answer(b"HTTP/1.1 200 OK\\r\\nContent-Length: 4\\r\\n\\r\\npong")
    (200, b'pong')
    """
    head, _, body = data.partition(b"\r\n\r\n")
    words = head.split(b" ", 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        return 0, b""
    length = _length(head)
    return int(words[1]), body if length is None else body[:length]


def post_many(requests: Mapping[K, tuple[str, str]], limit_s: float) -> dict[K, Reply]:
    """POST for each key of {key: (socket, handler)}; everything is back by the deadline."""
    asked = {key: _Ask(path, handler) for key, (path, handler) in requests.items()}
    replies = {key: ask.reply(False) for key, ask in asked.items() if ask.error}
    end = time.monotonic() + limit_s
    with selectors.DefaultSelector() as selector:
        for key, ask in asked.items():
            if key not in replies:
                selector.register(ask.sock, selectors.EVENT_WRITE, key)
        while len(replies) < len(asked) and (left := end - time.monotonic()) > 0:
            for ready, _ in selector.select(left):
                key, ask = ready.data, asked[ready.data]
                is_done = ask.step()
                if is_done:
                    selector.unregister(ask.sock)
                    replies[key] = ask.reply(True)
                elif not ask.out and ready.events & selectors.EVENT_WRITE:
                    selector.modify(ask.sock, selectors.EVENT_READ, key)
    return replies | {key: ask.reply(False) for key, ask in asked.items() if key not in replies}


def post(path: str, handler: str, limit_s: float = 2.0) -> Reply:
    """Ask one rank."""
    return post_many({0: (path, handler)}, limit_s)[0]


def main(argv: list[str] | None = None) -> int:
    """Ask a rank's control server from a shell."""
    parser = argparse.ArgumentParser(prog="python -m probes.control", description=main.__doc__)
    parser.add_argument("socket", help="the unix socket that the rank listens on (sock/r3-4711.sock)")
    parser.add_argument("handler", help="ping, fr_trace_json, wait_counter_values, pyspy_dump?nonblocking=1")
    parser.add_argument("--limit", type=float, default=2.0, metavar="S", help="seconds to wait (default 2)")
    given = parser.parse_args(argv)
    answer = post(given.socket, given.handler, given.limit)
    with suppress(BrokenPipeError):
        print(json.dumps({"error": answer.error}) if answer.error else answer.body.decode(errors="replace"))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Hosts of one job that make pre-flight at the same time meet where the ranks will, and measure the way.

The first host listens. Each of the others is told which files the first has written, looks for them, then
sends for a second, and hears what arrived.
"""

import hashlib
import json
import os
import secrets
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, NamedTuple

from probes.checking import hosts, launcher, places
from probes.checking.check import Target

WAIT_S = 8.0  # for the others to come
STREAM_S = 1.0
FILES_S = 6.0  # for a file of the first host to be seen by the others
ANSWER_S = 20.0
HELLO, HELLO_S = b"diagnose preflight\n", 1.0
BLOCK = 1 << 20
MOST_PEERS = 16  # that are measured, one after the other
HEAD = 28  # bytes of IPv4 and UDP before the data of a datagram
SIZES = (8972, 4000, 1472, 1372, 1252)  # data that is sent unbroken, for usual and for tunnelled networks
_IP_MTU, _IP_MTU_DISCOVER, _PROBE = 14, 10, 3


class Way(NamedTuple):
    """The way to the first host, as one of the others saw it; the first host has those of all others.

    `mtu`, `first_mtu`: what each end thinks; `largest`: bytes of the largest packet that came unbroken.
    `seen_after_s`: folder -> seconds until a file of the first host was seen there; None: never.
    """

    peer: str
    bits_per_s: float
    mtu: int | None
    first_mtu: int | None
    largest: int | None
    seen_after_s: dict[str, float | None]


class NoMeeting(Exception):
    """Nobody else was there, or nobody says where to meet. The message says which."""


_held: list[list[Way]] = []


def held(target: Target) -> list[Way]:
    """The ways from this host, measured once in a lane. Raises NoMeeting, OSError."""
    if not _held:
        host, port = launcher.of(target)
        host = host or next(iter(hosts.of(target)[0]), "")
        if not host:
            raise NoMeeting("nobody says where the ranks meet (MASTER_ADDR, --rdzv-endpoint)")
        port = port or launcher.PORT
        is_first = is_own(host)
        _held.append(
            serve(port, target.num_nodes - 1, target.folders)
            if is_first
            else [visit(host, port, target.folders)]
        )
    return _held[0]


def is_own(host: str) -> bool:
    """Whether an address is this host's: only one's own can be listened on."""
    for family, _, _, _, address in socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM):
        with socket.socket(family) as one, suppress(OSError):
            one.bind(address)
            return True
    return False


def serve(port: int, num_peers: int, folders: Sequence[str], wait_s: float = WAIT_S) -> list[Way]:
    """As the first host. Raises NoMeeting, OSError."""
    with ExitStack() as stack:
        datagrams = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        datagrams.bind(("", port))
        datagrams.setblocking(False)
        both = socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if both else socket.AF_INET
        listener = stack.enter_context(socket.create_server(("", port), family=family, dualstack_ipv6=both))
        files = stack.enter_context(written(folders))
        peers, end = list[tuple[socket.socket, str]](), time.monotonic() + wait_s
        while len(peers) < min(num_peers, MOST_PEERS) and (left := end - time.monotonic()) > 0:
            listener.settimeout(left)
            with suppress(OSError):
                peer, address = listener.accept()
                stack.enter_context(peer).settimeout(HELLO_S)
                if peer.recv(len(HELLO)) == HELLO:  # not whoever only tries whether somebody is here (C16)
                    peers.append((peer, address[0].removeprefix("::ffff:")))
        if not peers:
            raise NoMeeting(f"no other host made this check within {wait_s:g} s: start it on all at once")
        for peer, _ in peers:
            peer.settimeout(ANSWER_S)
            say(peer, files=files)
        return [measured for peer, name in peers if (measured := receive(peer, name, datagrams))]


def receive(peer: socket.socket, name: str, datagrams: socket.socket) -> Way | None:
    """One of the others sends; None where it breaks off."""
    try:
        say(peer, go=True)
        num, begun = len(peer.recv(BLOCK)), time.monotonic()
        while part := peer.recv(BLOCK):
            num += len(part)
        speed = 8 * num / max(time.monotonic() - begun, 1e-6)
        sizes = [0]
        with suppress(BlockingIOError):
            while got := datagrams.recvfrom(1 << 16):
                sizes += [len(got[0])] if got[1][0] == name else []
        largest = max(sizes) + HEAD if max(sizes) else None
        say(peer, bits_per_s=speed, mtu=mtu(peer), largest=largest)
        return Way(name, speed, None, mtu(peer), largest, {})
    except (OSError, ValueError):
        return None


def visit(host: str, port: int, folders: Sequence[str], wait_s: float = WAIT_S) -> Way:
    """As one of the others. Raises NoMeeting, OSError."""
    end = time.monotonic() + wait_s
    while True:
        try:
            peer = socket.create_connection((host, port), max(0.1, end - time.monotonic()))
            break
        except OSError as error:
            if time.monotonic() > end - 0.2:
                raise NoMeeting(
                    f"nobody answers at {host}:{port}: start the check on all hosts at once"
                ) from error
            time.sleep(0.2)
    with peer:
        peer.settimeout(ANSWER_S + wait_s)
        peer.sendall(HELLO)
        lines = peer.makefile("rb")
        told = hear(lines).get("files", {})
        seen = look({folder: told[folder] for folder in folders if folder in told})
        hear(lines)
        probe(peer.getpeername()[0], port, mtu(peer))
        block, end = os.urandom(BLOCK), time.monotonic() + STREAM_S
        while time.monotonic() < end:
            peer.sendall(block)
        peer.shutdown(socket.SHUT_WR)
        told = hear(lines)
        return Way(host, float(told["bits_per_s"]), mtu(peer), told.get("mtu"), told.get("largest"), seen)


def probe(address: str, port: int, own: int | None) -> None:
    """Datagrams that no router may break, of falling size."""
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PROBE)
        for size in sorted({*SIZES, (own or 0) - HEAD}, reverse=True):
            with suppress(OSError):  # larger than the interface takes
                if 0 < size <= (own or 1500) - HEAD:
                    one.sendto(bytes(size), (address, port))


def mtu(peer: socket.socket) -> int | None:
    """What the kernel takes to be the largest packet on the way."""
    try:
        return peer.getsockopt(socket.IPPROTO_IP, _IP_MTU)
    except OSError:
        return None


@contextmanager
def written(folders: Sequence[str]) -> Iterator[dict[str, tuple[str, str]]]:
    """{folder: (path, digest)} of a new file in each folder that takes one; they are removed at the end."""
    found: dict[str, tuple[str, str]] = {}
    try:
        for folder in folders:
            path, data = places.shared_name(folder), secrets.token_bytes(4096)
            with suppress(OSError), open(path, "xb") as file:
                found[folder] = path, hashlib.sha256(data).hexdigest()
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        yield found
    finally:
        for path, _ in found.values():
            with suppress(OSError):
                os.unlink(path)


def look(files: Mapping[str, Sequence[str]]) -> dict[str, float | None]:
    """Seconds until each was seen whole."""
    begun, found = time.monotonic(), dict[str, float | None]()
    while len(found) < len(files) and time.monotonic() - begun < FILES_S:
        for folder, (name, digest) in files.items():
            path = os.path.join(folder, os.path.basename(name))  # whatever was said: nowhere else
            with suppress(OSError), open(path, "rb") as file:
                if hashlib.sha256(file.read(1 << 16)).hexdigest() == digest:
                    found.setdefault(folder, round(time.monotonic() - begun, 3))
        time.sleep(0.02)
    return {folder: found.get(folder) for folder in files}


def say(peer: socket.socket, **words: Any) -> None:
    peer.sendall(json.dumps(words).encode() + b"\n")


def hear(lines: Any) -> dict[str, Any]:
    """Raises OSError, ValueError."""
    told = json.loads(lines.readline(1 << 16) or b"null")
    if not isinstance(told, dict):
        raise NoMeeting("the first host broke off")
    return told

"""Whether this host reaches every other host of the job; made on all of them, it covers all pairs."""

import errno
import json
import os
import selectors
import socket
import time

from probes import deadline
from probes.checking import hosts, launcher
from probes.checking.check import Check, Measurement, Target, measured, skipped

CHECK = Check("default", 60.0, needs=("nodes",), cost=("network",))
CONNECT_S, LIMIT_S = 5.0, 20.0
SSH = 22


def measure(target: Target) -> list[Measurement]:
    names, where = hosts.of(target)
    if not names:
        return [skipped("job", "hosts of the job", where)]
    port = launcher.of(target)[1] or SSH
    said = deadline.call(lambda: json.dumps(reach(names, port)).encode(), LIMIT_S)
    if said is None:
        return [measured("job", where, reaches=False, answer=f"no answer within {LIMIT_S:g} s")]
    return [
        measured(name, f"{where}, connect to port {port}", reaches=ok, answer=answer, took_s=took)
        for name, (ok, answer, took) in json.loads(said).items()
    ]


def reach(names: list[str], port: int) -> dict[str, tuple[bool, str, float]]:
    """name -> (does it answer?, why not, seconds). One that refuses the port answers: it is there."""
    found: dict[str, tuple[bool, str, float]] = {}
    begun = time.monotonic()
    with selectors.DefaultSelector() as selector:
        for name in names:
            try:
                family, kind, _, _, address = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)[0]
                one = socket.socket(family, kind)
                one.setblocking(False)
                code = one.connect_ex(address)
            except OSError as error:
                found[name] = False, error.strerror or str(error), 0.0
                continue
            if code == errno.EINPROGRESS:
                selector.register(one, selectors.EVENT_WRITE, name)
            else:  # no route, say: a socket that was refused at once tells no error later
                found[name] = told(code, begun)
                one.close()
        while selector.get_map() and (left := begun + CONNECT_S - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                taken: socket.socket = key.fileobj  # type: ignore[assignment]
                found[key.data] = told(taken.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), begun)
                selector.unregister(taken)
                taken.close()
        for key in list(selector.get_map().values()):
            found[key.data] = False, f"no answer within {CONNECT_S:g} s", CONNECT_S
            left_over: socket.socket = key.fileobj  # type: ignore[assignment]
            left_over.close()
    return found


def told(code: int, begun: float) -> tuple[bool, str, float]:
    ok = code in (0, errno.ECONNREFUSED)
    return ok, "" if ok else os.strerror(code), round(time.monotonic() - begun, 4)

"""What this host's own name, and the name where the ranks meet, mean here."""

import ipaddress
import json
import socket
import time

from probes import deadline
from probes.checking import launcher
from probes.checking.check import Check, Measurement, Target, Value, measured

CHECK = Check(limit_s=15.0, cost=("network",))
LIMIT_S = 6.0
MEETING = "meeting place"


def measure(target: Target) -> list[Measurement]:
    """gloo tells the others the address that the host's own name means."""
    names = {"own name": socket.gethostname(), MEETING: launcher.of(target)[0]}
    named = target.environ.get("GLOO_SOCKET_IFNAME", "")
    return [resolved(part, name, target.num_nodes, named) for part, name in names.items() if name]


def resolved(part: str, name: str, num_nodes: int, named: str) -> Measurement:
    """`named`: the interface that gloo takes instead of the own name's."""
    begun = time.monotonic()
    told = deadline.call(lambda: json.dumps(look(name)).encode(), LIMIT_S)
    took = round(time.monotonic() - begun, 3)
    where = f"getaddrinfo({name})"
    said: dict[str, Value] = {
        "num_nodes": num_nodes,
        "is_meeting_place": part == MEETING,
        "gloo_interface": named,
    }
    if told is None:
        return measured(part, where, refusal=f"no answer within {LIMIT_S:g} s", took_s=took, **said)
    refusal, found = json.loads(told)
    return measured(
        part,
        where,
        refusal=refusal,
        took_s=took,
        addresses=", ".join(found[:8]),
        is_loopback=all(ipaddress.ip_address(one).is_loopback for one in found) if found else None,
        num_families=len({ipaddress.ip_address(one).version for one in found}),
        **said,
    )


def look(name: str) -> tuple[str, list[str]]:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError as error:
        return error.strerror or str(error), []
    return "", sorted({str(one[4][0]).partition("%")[0] for one in found})

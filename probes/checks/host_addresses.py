"""Whether every host of the job has an address, one that only the cluster's network knows."""

import ipaddress
import json
import socket

from probes import deadline
from probes.checking import hosts
from probes.checking.check import Check, Measurement, Target, measured, skipped

CHECK = Check("default", 60.0, needs=("nodes",), cost=("network",))
LIMIT_S = 20.0


def measure(target: Target) -> list[Measurement]:
    names, where = hosts.of(target)
    if not names:
        return [skipped("job", "hosts of the job", where)]
    told = deadline.call(lambda: json.dumps([address(name) for name in names]).encode(), LIMIT_S)
    if told is None:
        return [measured("job", where, num_hosts=len(names), refusal=f"no answer within {LIMIT_S:g} s")]
    found = list(zip(names, json.loads(told), strict=True))
    known = [ipaddress.ip_address(one) for _, one in found if one]
    return [
        measured(
            "job",
            f"{where}, getaddrinfo",
            refusal="",
            num_hosts=len(names),
            num_lacking=max(0, target.num_nodes - len(names)) if len(names) > 1 else None,
            nameless=", ".join(name for name, one in found if not one)[:200],
            num_same=len(known) - len(set(known)),
            num_loopback=sum(one.is_loopback for one in known),
            num_public=sum(one.is_global for one in known),
        )
    ]


def address(name: str) -> str:
    try:
        return str(socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)[0][4][0]).partition("%")[0]
    except OSError:
        return ""

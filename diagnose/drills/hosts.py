"""Two hosts on this machine: network namespaces with a name and an address each, and a link."""

import os
import subprocess

import keeper

PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
ADDRESSES = ("10.77.0.1", "10.77.0.2")
INTERFACE = "eth0"


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, env={**os.environ, "PATH": PATH})


def connect() -> list[list[str]]:
    """Make both hosts; the command that runs something on each. A keeper takes them away afterwards."""
    names = [f"dgd-{os.getpid()}-{num}" for num in range(2)]
    left = " ".join(names)
    keeper.undo(
        f"for n in {left}; do ip netns del $n; done; ! ip netns list | grep -qw -e {' -e '.join(names)}"
    )
    for name in names:
        ip("netns", "add", name)
    ends = [[INTERFACE, "netns", name] for name in names]
    ip("link", "add", *ends[0], "type", "veth", "peer", "name", *ends[1])
    for name, address in zip(names, ADDRESSES, strict=True):
        ip("-n", name, "address", "add", f"{address}/24", "dev", INTERFACE)
        for interface in ("lo", INTERFACE):
            ip("-n", name, "link", "set", interface, "up")
    return [
        [
            *("env", f"PATH={PATH}", "ip", "netns", "exec", name, "unshare", "--uts"),
            *("sh", "-c", f'hostname worker-{num} && exec "$@"', "sh"),
        ]
        for num, name in enumerate(names)
    ]

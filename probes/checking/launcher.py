"""What a command line says of the program it starts, and of where its ranks meet."""

import os
import re
from collections.abc import Mapping, Sequence

from probes.checking.check import Target

PORT = 29500  # torchrun's, where nobody names another
SCRIPTS = (".py", ".sh")


def option(command: Sequence[str], *names: str) -> str:
    """The value of the first of these options; empty where it is not there.

    >>> option(["torchrun", "--master_port=7", "train.py"], "--master-port")
    '7'
    """
    words = [word.replace("_", "-") if word.startswith("--") else word for word in command]
    for place, word in enumerate(words):
        name, has_value, _ = word.partition("=")
        if name in names:
            value = command[place].partition("=")[2] if has_value else "".join(command[place + 1 : place + 2])
            return value
    return ""


def entry(command: Sequence[str]) -> str:
    """The program that all ranks run: a script, or a module; empty where it cannot be told.

    >>> entry(["torchrun", "--nproc-per-node", "8", "src/train.py", "1"]), entry(["python", "-m", "a.b"])
    ('src/train.py', 'a.b')
    """
    given = list(command)
    if script := next((word for word in given if word.endswith(SCRIPTS)), ""):
        return script
    places = [place for place, word in enumerate(given[:-1]) if word == "-m"]
    names = [given[place + 1] for place in places if not given[place + 1].startswith("torch.distributed.")]
    return names[-1] if names else ""


def meeting(command: Sequence[str], environ: Mapping[str, str]) -> tuple[str, int]:
    """Host and port where the ranks meet: `("", 0)` where any free port will do, or nobody says.

    >>> meeting(["torchrun", "--rdzv-endpoint", "node0:29400", "train.py"], {})
    ('node0', 29400)
    >>> meeting(["python", "train.py"], {"MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "1234"})
    ('10.0.0.1', 1234)
    """
    is_of_torch = is_torchrun(command)
    if is_of_torch and "--standalone" in command:
        return "", 0
    host, port = endpoint(option(command, "--rdzv-endpoint"))
    host = host or option(command, "--master-addr") or environ.get("MASTER_ADDR", "")
    port = port or option(command, "--master-port") or environ.get("MASTER_PORT", "")
    if port.isdigit():
        return host, int(port)
    return (host or "127.0.0.1", PORT) if is_of_torch else (host, 0)


def is_torchrun(command: Sequence[str]) -> bool:
    return any(os.path.basename(word) in {"torchrun", "torch.distributed.run"} for word in command)


def endpoint(text: str) -> tuple[str, str]:
    """Host and port; the port may be left out, and an address of IPv6 has brackets.

    >>> endpoint("node0:29400"), endpoint("node0"), endpoint("[fd00::1]:7")
    (('node0', '29400'), ('node0', ''), ('fd00::1', '7'))
    """
    found = re.fullmatch(r"(?:\[([^\]]*)\]|([^\[\]]*?))(?::(\d{1,9}))?", text)
    return (found[1] or found[2] or "", found[3] or "") if found else ("", "")


def of(target: Target) -> tuple[str, int]:
    return meeting(target.command, target.environ)

"""The hosts of the job, as far as its platform says which they are."""

import re

from probes import procfs
from probes.checking import interpreter, launcher
from probes.checking.check import Target

MOST = 512
LIMIT_S = 20.0
FILES = ("DLTS_HOSTFILE", "OMPI_MCA_orte_default_hostfile", "PDSH_HOSTFILE")
MODAL = """
import json
from modal.experimental import get_cluster_info
told = get_cluster_info()
print(json.dumps(list(getattr(told, "container_ipv4_ips", None) or told.container_ips)))
"""


def of(target: Target) -> tuple[list[str], str]:
    """(names or addresses, who says so); none, and why, where nobody does. On Modal its client is asked."""
    environ = target.environ
    if "MODAL_TASK_ID" in environ:
        try:
            return [str(one) for one in interpreter.ask(target, MODAL, LIMIT_S)][:MOST], "get_cluster_info()"
        except interpreter.NoAnswer as error:
            return [], f"get_cluster_info(): {error}"
    for name in ("SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST"):
        if environ.get(name):
            return expand(environ[name]), name
    for name in FILES:
        if environ.get(name):
            return lines(procfs.head(environ[name], 1 << 20) or b""), environ[name]
    host, _ = launcher.of(target)
    is_here = host in ("", "localhost", "127.0.0.1", "::1")
    return ([], "nobody says which hosts the job has") if is_here else ([host], "where the ranks meet")


def expand(text: str) -> list[str]:
    """Slurm's short form.

    >>> expand("gpu[08-10,12]-ib,login1")
    ['gpu08-ib', 'gpu09-ib', 'gpu10-ib', 'gpu12-ib', 'login1']
    """
    found: list[str] = []
    for part in re.findall(r"[^,\[]{0,200}(?:\[[^\]]{0,500}\][^,\[]{0,200})?", text)[: 2 * MOST]:
        head, _, rest = part.partition("[")
        inside, _, tail = rest.partition("]")
        for span in inside.split(",") if rest else [""]:
            first, _, last = span.partition("-")
            if first.isdigit() and last.isdigit() and len(first) < 10 and len(last) < 10:
                numbers = range(int(first), min(int(last), int(first) + MOST) + 1)
                found += [f"{head}{number:0{len(first)}d}{tail}" for number in numbers]
            elif head or first:
                found.append(f"{head}{span}{tail}")
    return found[:MOST]


def lines(raw: bytes) -> list[str]:
    """A host file: a host a line, `slots=8` and the like behind it.

    >>> lines(b"# mine\\nnode1 slots=8\\nnode2:8\\n")
    ['node1', 'node2']
    """
    words = [line.split()[:1] for line in raw.decode(errors="replace").splitlines()]
    named = [word[0].partition(":")[0] for word in words if word and not word[0].startswith("#")]
    return list(dict.fromkeys(name for name in named if name))[:MOST]

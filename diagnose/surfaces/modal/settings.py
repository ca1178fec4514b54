"""What is asked of Modal for a run, checked here: its client accepts nonsense that fails minutes later. Pure.

>>> offer = Offer(as_of="", cpu_core_hour=0.05, memory_gib_hour=0.01, max_timeout_s=86400, node_gpus=8, max_nodes=32,
...               collective_timeout_s=600, gpu={"H200": Gpu(most=8, hour=4.5)})
>>> gpu("h200:8", offer), seconds("90m"), memory("64GiB:96GiB"), mount("cache:/cache:ro")
('H200:8', 5400, (65536, 98304), Mount(volume='cache', path='/cache', is_read_only=True))
>>> gpu("H200:9", offer)
Traceback (most recent call last):
diagnose.surfaces.modal.settings.BadSetting: H200:9: at most 8 of them are in one container
"""  # noqa: E501

import posixpath
import re

from diagnose.model import Record
from diagnose.values import string

# Where the diagnostics volume, the user's code and the compile cache's volume are in the container.
MOUNT, CODE, CACHE = "/diagnose", "/job", "/compile-cache"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
SIZES = {"": 1, "M": 1, "G": 1024, "T": 1024 * 1024}
# Folders that are the system's, the program's or ours.
TAKEN = {
    "/",
    "/root",
    "/tmp",
    "/proc",
    "/sys",
    "/dev",
    "/usr",
    "/bin",
    "/lib",
    "/etc",
    "/__modal",
    "/diagnose",
    "/compile-cache",
    "/job",
    "/opt/diagnose",
}
SYSTEM = ("/proc", "/sys", "/dev", "/__modal", "/diagnose")  # nor anything below
PATH = re.compile(r"(?:/[A-Za-z0-9_.@+-]{1,100}){1,20}")


class BadSetting(Exception):
    """Modal could not do this. The message is one line."""

    def __init__(self, text: str) -> None:
        super().__init__(" ".join(string(text, 600).split()))


class Gpu(Record, frozen=True):
    """One kind: how many fit into a container, dollars an hour for one, what is odd about it."""

    most: int
    hour: float | None = None
    note: str = ""


class Offer(Record, frozen=True):
    """`playbooks/modal.toml`."""

    as_of: str
    cpu_core_hour: float
    memory_gib_hour: float
    max_timeout_s: int
    node_gpus: int  # of each node of a cluster
    max_nodes: int
    collective_timeout_s: int
    gpu: dict[str, Gpu]


class Mount(Record, frozen=True):
    volume: str
    path: str
    is_read_only: bool = False


class Settings(Record, frozen=True):
    """All that is asked for. `memory` is (request, limit) in MiB."""

    gpu: str  # of each node
    timeout_s: int
    volume: str  # for diagnostics
    startup_timeout_s: int | None = None
    cpu: float | None = None
    memory: tuple[int, int] | None = None
    image: str = ""  # a reference in a registry, best with its digest
    python: str = ""
    pip: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()
    secrets: tuple[str, ...] = ()  # names only
    region: str = ""
    cloud: str = ""
    code: str = ""  # a local folder that goes along, and is where the command starts
    nodes: int = 1
    rdma: bool = False
    code_without: str = ""  # a folder in it that stays here: the one with our runs


def app_name(name: str) -> str:
    """The name of a run's app, in the letters that Modal takes.

    >>> app_name("r\u00e9sum\u00e9 7/../x")
    'diagnose-r-sum-7-..-x'
    """
    return f"diagnose-{re.sub('[^A-Za-z0-9._-]+', '-', name)}"[:64]


def gpu(text: str, offer: Offer) -> str:
    """`H200:8` as Modal writes it; empty for none. Raises BadSetting."""
    if not text or text.lower() == "none":
        return ""
    kind, colon, count = text.partition(":")
    known = next((name for name in offer.gpu if name.lower() == kind.lower()), None)
    if known is None:
        raise BadSetting(f"{kind}: no GPU of Modal's; there are {', '.join(offer.gpu)}")
    if colon and not re.fullmatch(r"[1-9][0-9]{0,2}", count):
        raise BadSetting(f"{text}: the count must be a number")
    if int(count or 1) > offer.gpu[known].most:
        raise BadSetting(f"{text}: at most {offer.gpu[known].most} of them are in one container")
    return f"{known}:{int(count or 1)}"


def seconds(text: str) -> int:
    """`300`, `90m`, `4h` as whole seconds. Raises BadSetting."""
    found = re.fullmatch(r"([0-9]{1,7})(s|m|h|d|)", text.strip())
    if not found:
        raise BadSetting(f"{text}: no time; write 300, 90m or 4h")
    return int(found[1]) * UNITS[found[2]]


def memory(text: str) -> tuple[int, int]:
    """`64GiB:96GiB` or `65536:98304` (MiB), request and limit; one number is both. Raises BadSetting."""
    parts = [re.fullmatch(r"([0-9]{1,9})([MGT]?)(?:i?B)?", part) for part in text.strip().split(":")]
    sizes = [int(found[1]) * SIZES[found[2]] for found in parts if found]
    if len(sizes) != len(parts) or len(sizes) > 2 or not all(sizes):
        raise BadSetting(f"{text}: no memory; write REQUEST:LIMIT, as 64GiB:96GiB")
    if sizes[0] > sizes[-1]:
        raise BadSetting(f"{text}: the request is above the limit")
    return sizes[0], sizes[-1]


def mount(text: str) -> Mount:
    """`NAME:/path` or `NAME:/path:ro`. Raises BadSetting."""
    name, _, rest = text.partition(":")
    path, _, mode = rest.partition(":")
    if mode not in ("", "ro", "rw") or not NAME.fullmatch(name) or not PATH.fullmatch(path):
        raise BadSetting(f"{text}: no volume; write NAME:/absolute/path or NAME:/absolute/path:ro")
    below = any(path.startswith(f"{top}/") for top in SYSTEM)
    if posixpath.normpath(path) != path or path in TAKEN or below:
        raise BadSetting(f"{text}: nothing can be mounted at {path}")
    return Mount(name, path, mode == "ro")


def cost(settings: Settings, offer: Offer) -> float | None:
    """Dollars an hour by the table; None where a price is not known. CPU and memory as they are asked for."""
    kind, _, count = settings.gpu.partition(":")
    hour = offer.gpu[kind].hour if kind else 0.0
    if hour is None:
        return None
    request = settings.memory[0] if settings.memory else 0
    rest = (settings.cpu or 0.0) * offer.cpu_core_hour + request / 1024 * offer.memory_gib_hour
    return (hour * int(count or 0) + rest) * settings.nodes

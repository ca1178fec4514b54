"""What the driver's error codes mean: `playbooks/xid.toml`, loaded strictly. Pure but for that one file."""

from functools import cache
from typing import Literal

from diagnose.model import Record
from diagnose.playbook import read, root

Fault = Literal["", "bus", "memory", "board", "firmware", "fabric", "application", "peer", "cleanup"]
Action = Literal[
    "restart-app", "fix-code", "reset-gpu", "reboot-node", "replace",
    "monitor", "ignore", "look-at-companion", "support",
]  # fmt: skip
ACCUSES_NOBODY = {"monitor", "ignore"}


class Xid(Record, frozen=True):
    """One code. `graded`: the line itself says how bad it is. `source` and `asof`: empty: the table's."""

    meaning: str
    category: list[Literal["app", "hw", "driver", "fabric", "info"]]
    fault: Fault
    action: Action
    recurs: Action | None = None
    never_root: bool = False
    graded: bool = False
    source: str = ""
    asof: str = ""


class Catalogue(Record, frozen=True):
    asof: str
    source: str
    xid: dict[int, Xid]


@cache
def catalogue() -> dict[int, Xid]:
    """All codes. Raises PlaybookError."""
    return read(root() / "xid.toml", Catalogue).xid

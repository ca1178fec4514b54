"""What `df` lists, of blocks or of inodes: the file systems that have no room left.

>>> from io import BytesIO
>>> text = b"Filesystem  Size  Used Avail Use% Mounted on\\n/dev/sda1    50G   50G     0 100% /scratch"
>>> event = next(parse(Member("df.txt", len(text), lambda: BytesIO(text))))
>>> event.kind, event.where, event.data["full"]
('disks.read', 'df.txt:2', [{'point': '/scratch', 'spent': 'blocks', 'free': 0, 'size': 53687091200}])
"""

import re
from collections.abc import Iterator

from diagnose.log_signs import OTHERS, is_text
from diagnose.model import Event, Member
from diagnose.naming import steps
from diagnose.text import decode, lines_of

EVENTS = {
    "disks.read": "file systems without room; data: full ([{point, spent (blocks, inodes), free, size}])",
}
MAX_ROWS = 1000
LITTLE = 0.02  # of a file system, as our own probe counts
HEADER = re.compile(r"\s*Filesystem\s.{0,200}\b(?P<what>I?Use%|Capacity|%iused)\s+Mounted on\s*")
UNIT = re.compile(r"(?P<blocks>\d{1,7})-blocks|(?P<unit>1[KMG])-blocks|\b(?P<human>Size|Inodes)\b")
# A long name may stand on a line of its own.
ROW = re.compile(
    r"(?P<name>\S{1,300})?\s+(?:[a-z][\w.]{1,20}\s+)?(?P<size>[\d.]{1,18}[KMGTP]?)i?\s+[\d.]{1,18}[KMGTP]?i?\s+"
    r"(?P<free>[\d.]{1,18}[KMGTP]?)i?\s+(?P<percent>\d{1,3})%\s+(?P<point>/.{0,400})"
)
SCALES = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40, "P": 1 << 50}
ALWAYS_FULL = re.compile(
    r"/dev/(?:loop|sr)\d|squashfs|/snap/|/cdrom|/boot/efi$|/sys/"
)  # made so, never written


def recognises(where: str, head: bytes) -> bool:
    if not is_text(head) or OTHERS & set(steps(where)[:-1]):
        return False
    return any(HEADER.fullmatch(line) for line in decode(head).split("\n") if "Mounted on" in line)


def parse(member: Member) -> Iterator[Event]:
    rows, first, spent, scale = list[dict[str, object]](), 1, "", 1
    name = ""
    for number, text in lines_of(member):
        if found := HEADER.fullmatch(text):
            spent, scale = (
                ("inodes" if found["what"].lower().strip("%").startswith("iu") else "blocks"),
                unit(text),
            )
        elif spent and (found := ROW.fullmatch(text.rstrip())):
            size, free = amount(found["size"], scale), amount(found["free"], scale)
            is_full = int(found["percent"]) >= 100 or free <= size * LITTLE
            if (
                is_full
                and size
                and len(rows) < MAX_ROWS
                and not ALWAYS_FULL.search(f"{found['name'] or name}{text}")
            ):
                first = first if rows else number
                free = 0 if spent == "inodes" else free
                rows.append({"point": found["point"], "spent": spent, "free": free, "size": size})
        name = text.strip()
    yield Event("disks.read", "disk_table", f"{member.where}:{first}", data={"full": rows})


def unit(header: str) -> int:
    """Bytes that one counts in a column of bare numbers."""
    found = UNIT.search(header)
    if found is None or found["human"]:
        return 1
    return int(found["blocks"]) if found["blocks"] else SCALES[found["unit"][1]]


def amount(text: str, scale: int) -> int:
    """
    >>> amount("1.5G", 1), amount("12", 1024), amount("1.2.3", 1)
    (1610612736, 12288, 0)
    """
    try:
        value = float(text.rstrip("KMGTP"))
    except ValueError:
        return 0
    return int(value * SCALES.get(text[-1], scale))

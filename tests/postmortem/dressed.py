"""The same case as other tools hand it over: stamps or prefixes before each line, coloured, fenced, packed.

What is said must not depend on it.
"""

import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from diagnose.bundle import members
from diagnose.model import Member
from diagnose.verdict import Verdict
from tests.postmortem.less import MAX_BYTES, of_text
from tests.postmortem.scoring import Case, verdict

LOGS = (".log", ".out", ".err")  # what a container prints, and its runtime stamps


def each_line(before: str, after: str = "") -> Callable[[str], str]:
    return lambda text: "".join(f"{before}{line}{after}\n" for line in text.split("\n")[:-1])


LINES: dict[str, Callable[[str], str]] = {
    "crlf": each_line("", "\r"),
    "coloured": each_line("\x1b[31;1m", "\x1b[0m"),
    "kubectl_timestamps": each_line("2025-03-04T11:42:18.118204991Z "),
    "container_runtime": each_line("2025-03-04T11:42:18.118204991Z stderr F "),
    "compose": each_line("trainer-1  | "),
    "fenced": lambda text: f"The log:\n\n```\n{text}```\n",
    "quoted": each_line("> "),
    "indented": each_line("    "),
    "marked_utf8": lambda text: "\ufeff" + text,
}
STAMPED = {"kubectl_timestamps", "container_runtime", "compose"}
PACKED = ("zip", "tar.gz")
DRESSES = (*LINES, *PACKED)


def dress(case: Case, how: str) -> Verdict:
    """The verdict on the case in one of DRESSES."""
    if how in PACKED:
        return packed(case, how)
    return verdict(case, [put_on(m, how) for m in case.members()])


def put_on(member: Member, how: str) -> Member:
    if how in STAMPED and not member.where.endswith(LOGS):
        return member
    text = member.read(MAX_BYTES).decode()
    return of_text(member.where, LINES[how](text).encode())


def packed(case: Case, how: str) -> Verdict:
    with TemporaryDirectory(prefix="dressed-") as folder:
        path = Path(folder) / f"evidence.{how}"
        if how == "zip":
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                for m in case.members():
                    archive.writestr(m.where, m.read(MAX_BYTES))
        else:
            with tarfile.open(path, "w:gz") as tar:
                for m in case.members():
                    entry = tarfile.TarInfo(m.where)
                    entry.size = m.size
                    tar.addfile(entry, io.BytesIO(m.read(MAX_BYTES)))
        return verdict(case, list(members(str(path))))

"""The same case as other tools hand it over: stamps, numbers or prefixes before each line, coloured, packed.

What is said must not depend on it.
"""

import io
import json
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
    return lambda text: "".join(
        f"{before.format(second=18 + n // 1000, ms=n % 1000)}{line}{after}\n"
        for n, line in enumerate(text.split("\n")[:-1], 118)
    )


def numbered(text: str, form: str) -> str:
    return "".join(f"{form.format(n)}{line}\n" for n, line in enumerate(text.split("\n")[:-1], 1))


def recorded(line: str) -> str:
    return json.dumps({"log": line, "stream": "stderr", "time": "2025-03-04T11:42:18.118204991Z"}) + "\n"


LINES: dict[str, Callable[[str], str]] = {
    "crlf": each_line("", "\r"),
    "coloured": each_line("\x1b[31;1m", "\x1b[0m"),
    "kubectl_timestamps": each_line("2025-03-04T11:42:{second}.{ms:03}204991Z "),
    "container_runtime": each_line("2025-03-04T11:42:{second}.{ms:03}204991Z stderr F "),
    "compose": each_line("trainer-1  | "),
    "compose_named": each_line("trainer  | "),
    "journald": each_line("Mar 04 11:42:{second} gpu-3 torchrun[4711]: "),
    "journald_iso": each_line("2025-03-04T11:42:{second}+0000 gpu-3 bash[4711]: "),
    "actions_timestamps": each_line("2025-03-04T11:42:{second}.{ms:03}2049Z "),
    "docker_json": lambda text: "".join(map(recorded, text.splitlines(keepends=True))),
    "fenced": lambda text: f"The log:\n\n```\n{text}```\n",
    "quoted": each_line("> "),
    "indented": each_line("    "),
    "quoted_and_indented": each_line(">     "),
    "in_a_list": lambda text: f"1. The log:\n\n   ```\n{each_line('   ')(text)}   ```\n\n2. Any idea?\n",
    "cat_n": lambda text: numbered(text, "{:6}\t"),
    "less_n": lambda text: numbered(text, "{:6} "),
    "numbered": lambda text: numbered(text, "{}: "),
    "marked_utf8": lambda text: "\ufeff" + text,
}
ENCODED: dict[str, Callable[[str], bytes]] = {
    "utf_16": lambda text: text.encode("utf-16"),
    "utf_16_crlf": lambda text: text.replace("\n", "\r\n").encode("utf-16"),
}
STAMPED = {
    *("kubectl_timestamps", "container_runtime", "compose", "compose_named", "journald", "journald_iso"),
    *("actions_timestamps", "docker_json"),
}
PACKED = ("zip", "tar.gz")
DRESSES = (*LINES, *ENCODED, *PACKED)


def dress(case: Case, how: str) -> Verdict:
    """The verdict on the case in one of DRESSES."""
    if how in PACKED:
        return packed(case, how)
    return verdict(case, [put_on(m, how) for m in case.members()])


def put_on(member: Member, how: str) -> Member:
    if how in STAMPED and not member.where.endswith(LOGS):
        return member
    text = member.read(MAX_BYTES).decode()
    return of_text(member.where, ENCODED[how](text) if how in ENCODED else LINES[how](text).encode())


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

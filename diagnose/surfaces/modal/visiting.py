"""`diagnose modal attach`: the probes go into a container that has nothing of ours, look, and come back.

Each entry brings all it needs and leaves nothing: one finds the ranks, one looks at those that are meant. A
Python is all that must be there.
"""

import gzip
import io
import json
import platform
import shutil
import struct
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from diagnose import archive, attaching
from diagnose.attaching import Choice, Job, Options
from diagnose.surfaces.modal import collect, packing
from diagnose.surfaces.modal.outcome import Unreachable
from diagnose.values import json_value, string
from probes.files import atomic_write

Enter = Callable[[str, Sequence[str], bytes, float], Any]  # as `entering.run`

FIND_S, SPARE_S = 40.0, 60.0  # what a transfer may take beside the look
MAX_UNPACKED = 512 << 20
MACHINES = {0x3E: "x86_64", 0xB7: "aarch64"}
NOT_OURS = "RANK LOCAL_RANK WORLD_SIZE OMPI_COMM_WORLD_RANK PMI_RANK SLURM_PROCID"
# Any Python will do: on PATH, where images have it, or the one that the ranks themselves run in.
SHELL = f"""unset {NOT_OURS}
try() {{ command -v "$1" >/dev/null 2>&1 && "$1" -ISc 'import sys; sys.exit(sys.version_info < (3, 10))' \
</dev/null 2>/dev/null || return; exec "$@"; }}
b=$1; shift
for p in python3 python "$VIRTUAL_ENV/bin/python3" "$HOME/.venv/bin/python3" \
/usr/local/bin/python3 /usr/bin/python3 /opt/*/bin/python3; do
try "$p" -ISBc "$b" "$@"; done
for e in /proc/[0-9]*/exe; do p=$(readlink "$e" 2>/dev/null); case $p in */python*) try "$p" -ISBc "$b" "$@";; esac; done
echo "no Python of 3.10 or newer is in the container" >&2; exit 127
"""  # noqa: E501
# Takes the files in, runs the zipapp, removes all of it: also when it is told to end, or never fed.
BOOT = """import json, os, shutil, signal, subprocess, sys, tempfile, zlib
def end(*_): sys.exit(124)
for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGALRM): signal.signal(number, end)
signal.alarm(int(sys.argv[1]))
folder = tempfile.mkdtemp(prefix="diagnose-")
try:
    files = json.loads(sys.stdin.buffer.readline())
    for name, size, mode in files:
        data = sys.stdin.buffer.read(size)
        if len(data) < size: sys.exit("the transfer broke off")
        path = os.path.join(folder, name)
        with open(path, "wb") as file: file.write(zlib.decompress(data))
        os.chmod(path, mode)
    argv = [sys.executable, "-I", "-S", "-B", os.path.join(folder, "probes.pyz"), *sys.argv[2:]]
    sys.exit(subprocess.call(argv, stdin=subprocess.DEVNULL, env={**os.environ, "TMPDIR": folder}))
finally:
    shutil.rmtree(folder, True)
"""


class File(NamedTuple):
    """Something that goes along."""

    name: str
    mode: int
    data: bytes


class Visit:
    """A container, and the py-spy that may be brought there (None: the one that is installed here)."""

    def __init__(self, container: str, enter: Enter, py_spy: Path | None) -> None:
        self.container, self.enter, self.py_spy = container, enter, py_spy
        self.place: dict[str, Any] = {}

    def find(self, pids: Sequence[int]) -> Choice:
        """The jobs of these processes, or all in the container. Raises Unreachable."""
        self.place, body = self.ask(["find", *map(str, pids)], [], FIND_S)
        try:
            return attaching.chosen(0, body, "")
        except (msgspec.DecodeError, ValueError, RecursionError):
            raise self.strange() from None

    def look(self, run: Path, job: Job, options: Options, complain: Callable[[str], None]) -> None:
        """Take the evidence there, and bring it here. Raises Unreachable, OSError."""
        files = [File("job.json", 0o600, msgspec.json.encode(job) + b"\n")]
        if not self.place.get("py_spy"):
            found = self.fitting(complain)
            files += [File("py-spy", 0o700, found)] if found else []
        limit_s = attaching.limit_s(options)
        words = ["look", "--limit", f"{limit_s:g}", "--run", run.name, "--attempt", self.container]
        place, body = self.ask([*words, *attaching.arguments(options)], files, limit_s + SPARE_S)
        if len(files) > 1 and not place.get("py_spy"):
            complain(f"py-spy does not run there: {string(place.get('py_spy_reason'), 300) or 'no word'}")
        attaching.tell_end(place.get("code"), string(place.get("errors"), 500), limit_s, complain)
        for line in unpack(body, run):
            complain(line)

    def fitting(self, complain: Callable[[str], None]) -> bytes:
        """A py-spy that runs on the container's processor; empty, and said so, where there is none."""
        wanted, path = string(self.place.get("machine"), 40), self.py_spy or installed()
        rest = "stacks come from control servers, and with --signal from faulthandler"
        try:
            data = path.read_bytes() if path else b""
        except OSError as error:
            raise Unreachable(f"{path}: {error.strerror or error}") from None
        if machine_of(data) == wanted:
            return data
        what = (
            f"the one here is for {machine_of(data) or platform.system()}" if data else "there is none here"
        )
        complain(f"no py-spy for {wanted} ({what}; --py-spy PATH gives another): {rest}")
        return b""

    def ask(self, words: list[str], files: list[File], limit_s: float) -> tuple[dict[str, Any], bytes]:
        """One entry: what it says of the place, and what it brings. Raises Unreachable."""
        packed = [
            (one.name, one.mode, zlib.compress(one.data))
            for one in (File("probes.pyz", 0o600, packing.zipapp()), *files)
        ]
        header = json.dumps([(name, len(data), mode) for name, mode, data in packed])
        given = b"".join([header.encode(), b"\n", *(data for _, _, data in packed)])
        command = ["sh", "-c", SHELL, "sh", BOOT, f"{limit_s:.0f}", *words]
        done = self.enter(self.container, command, given, limit_s)
        line, is_whole, body = done.out.partition(b"\n")
        if done.code or not is_whole:
            last = [string(one, 300) for one in done.errors.strip().splitlines()[-1:]] or ["no word of why"]
            raise Unreachable(f"container {self.container}: {ended(done.code)}{last[0]}")
        try:
            place = json_value(line)
        except ValueError:
            place = None
        if not isinstance(place, dict):
            raise self.strange()
        return place, body

    def strange(self) -> Unreachable:
        return Unreachable(f"container {self.container}: what it answered is not of our probes")


def installed() -> Path | None:
    """The py-spy of this machine."""
    beside = Path(sys.executable).with_name("py-spy")
    there = str(beside) if beside.is_file() else shutil.which("py-spy")
    return Path(there) if there else None


def ended(code: int) -> str:
    """What an exit code tells that the last line may not.

    >>> ended(137), ended(1)
    ('killed while it was looked at (137): ', '')
    """
    if code > 128:
        return f"killed while it was looked at ({code}): "
    return "no time was left: " if code == 124 else ""


def machine_of(binary: bytes) -> str:
    """The processor that an ELF file is for; empty for one that is not known, and for no ELF file.

    >>> machine_of(b"\\x7fELF\\x02\\x01\\x01" + bytes(9) + b"\\x03\\x00\\xb7\\x00")
    'aarch64'
    """
    if binary[:6] != b"\x7fELF\x02\x01" or len(binary) < 20:
        return ""
    return MACHINES.get(struct.unpack("<H", binary[18:20])[0], "")


def unpack(body: bytes, run: Path) -> Iterator[str]:
    """Write the files of a compressed tar that have a place in a run directory; what is wrong, in lines."""
    with gzip.GzipFile(fileobj=io.BytesIO(body)) as source, tempfile.NamedTemporaryFile() as file:
        try:
            while part := source.read1(1 << 20):  # `read` would lose what lies before a damage
                file.write(part)
                if file.tell() > MAX_UNPACKED:
                    yield f"more than {MAX_UNPACKED >> 20} MiB was brought: the rest is left out"
                    break
        except (OSError, *archive.DAMAGE) as error:
            yield f"what was brought is damaged: {error}"
        file.flush()
        path = Path(file.name)
        with path.open("rb") as again:
            is_tar = archive.is_tar(again.read(512))
        if not is_tar:
            yield "what was brought is no tar"
            return
        for member in archive.of_tar(path, "tar"):
            name = member.where.partition("!")[2]
            try:
                if not collect.is_ours(name):
                    raise OSError(0, "no path of ours")
                data = member.read()
                (run / name).parent.mkdir(parents=True, exist_ok=True)
                atomic_write(run / name, data)
            except OSError as error:
                yield f"not brought: {name or 'the rest'} ({error.strerror or error})"

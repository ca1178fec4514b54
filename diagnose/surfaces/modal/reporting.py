"""A pre-flight's report inside of a call's result: the second way to us, beside the volume.

A result of more than 8 KiB goes by a storage of its own, which may fail where the network does; so it is
packed, and a large report is left to the volume, as long as that took it.

>>> unpack(pack(b'{"schema": "diagnose/preflight/1"}', is_pushed=True))
b'{"schema": "diagnose/preflight/1"}'
>>> pack(bytes(range(256)) * 99, is_pushed=True) is None, unpack("nothing of ours")
(False, b'')
"""

import base64
import binascii
import zlib
from collections.abc import Container
from pathlib import Path

from diagnose.surfaces.modal.seen import STEP
from probes.files import atomic_write

INLINE, LIMIT = 6000, 8 << 20  # characters in a result; bytes of a report


def pack(report: bytes, is_pushed: bool) -> str | None:
    """As text; None where it is large, and on the volume."""
    text = base64.b64encode(zlib.compress(report, 9)).decode()
    return text if text and (len(text) <= INLINE or not is_pushed) else None


def unpack(text: object) -> bytes:
    """The report; empty where this is none."""
    try:
        data = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
        return zlib.decompressobj().decompress(data, LIMIT)
    except (binascii.Error, ValueError, zlib.error):
        return b""


def apart(run: Path, value: object, attempts: Container[str]) -> object:
    """A call's result without the report, which goes where one by the volume would be. Raises OSError.

    `attempts`: the containers that began.
    """
    if not isinstance(value, dict) or "preflight" not in value:
        return value
    attempt, report = str(value.get("attempt")), unpack(value["preflight"])
    path = run / "attempts" / attempt / "preflight.json"
    if report and attempt in attempts and STEP.fullmatch(attempt) and not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, report)
    return {key: part for key, part in value.items() if key != "preflight"}

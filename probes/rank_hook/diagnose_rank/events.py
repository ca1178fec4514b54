"""Event lines: one JSON object, one append, no descriptor kept. A full or missing disk is silence."""

import os
from time import monotonic, time


def _quote(text: str) -> str:
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    from json.encoder import encode_basestring_ascii

    return encode_basestring_ascii(text)


def dumps(value: object) -> str:
    """JSON of plain values; NaN and infinities become null, anything unknown its text. (`json` loads `re`.)

    >>> dumps({"a": [1, 2.5, None, True, "x\\n"], "b": float("nan")})
    '{"a":[1,2.5,null,true,"x\\\\n"],"b":null}'
    """
    if value is None or value is True or value is False:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return _quote(value)
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float):
        return float.__repr__(value) if value - value == 0 else "null"
    if isinstance(value, dict):
        return "{" + ",".join([f"{_quote(str(k))}:{dumps(v)}" for k, v in value.items()]) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join([dumps(one) for one in value]) + "]"
    return _quote(str(value))


class Log:
    """The event file of one writer; `stamp` holds the keys that every line carries."""

    def __init__(self, path: str, stamp: "dict[str, object]") -> None:
        self.path = path
        self.stamp = stamp
        self._may_be_torn = True

    def append(self, event: str, level: str, data: "dict[str, object]") -> None:
        """Append one line; raises nothing.

        A first line after somebody else's torn one begins with a newline.
        """
        line = {
            "v": 1,
            "time": time(),
            "event": event,
            "source": "rank_hook",
            **self.stamp,
            "level": level,
            "mono": monotonic(),
            **data,
        }
        try:
            raw = dumps(line).encode() + b"\n"
            fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                if self._may_be_torn and _is_torn(fd):
                    raw = b"\n" + raw
                self._may_be_torn = os.write(fd, raw) != len(raw)
            finally:
                os.close(fd)
        except OSError:
            self._may_be_torn = True


def _is_torn(fd: int) -> bool:
    size = os.fstat(fd).st_size
    return size > 0 and os.pread(fd, 1, size - 1) != b"\n"


def write_whole(path: str, text: str) -> None:
    """Write a file so that a reader sees the old one or the new one; raises OSError."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_bytes(path: str, raw: bytes) -> None:
    """The same for bytes; raises OSError."""
    draft = f"{path}.{os.getpid()}.tmp"
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        if os.write(fd, raw) != len(raw):
            raise OSError("short write")
    except OSError:
        os.unlink(draft)
        raise
    finally:
        os.close(fd)
    os.replace(draft, path)

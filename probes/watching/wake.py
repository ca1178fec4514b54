"""Wake up when a rank's hook writes, instead of a tick later (inotify; without it the tick must do)."""

import ctypes
import os
import struct

_MODIFY_OR_CREATE = 0x2 | 0x100
_NONBLOCK_CLOEXEC = 0o4000 | 0o2000000
_HEAD = struct.Struct("iIII")


class Wake:
    """`fd` becomes readable on a write in a watched folder; -1 where the system has no inotify."""

    def __init__(self) -> None:
        self.watched: set[str] = set()
        try:
            self.libc = ctypes.CDLL(None, use_errno=True)
            self.fd = int(self.libc.inotify_init1(_NONBLOCK_CLOEXEC))
        except (OSError, AttributeError):
            self.fd = -1

    def watch(self, spool: str) -> None:
        """Watch the attempts folder and each attempt's events folder; call it again for new attempts."""
        if self.fd < 0:
            return
        root = os.path.join(spool, "attempts")
        try:
            attempts = os.listdir(root)
        except OSError:
            return
        for folder in (root, *(os.path.join(root, name, "events") for name in attempts)):
            if folder not in self.watched and os.path.isdir(folder):
                self.watched.add(folder)
                self.libc.inotify_add_watch(self.fd, os.fsencode(folder), _MODIFY_OR_CREATE)

    def is_for_us(self) -> bool:
        """Drain; did anything but our own log change?"""
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return False
        at, found = 0, False
        while at + _HEAD.size <= len(data):
            length = _HEAD.unpack_from(data, at)[3]
            name = data[at + _HEAD.size : at + _HEAD.size + length].rstrip(b"\0")
            found = found or name.startswith(b"rank-") or name.isdigit()
            at += _HEAD.size + length
        return found

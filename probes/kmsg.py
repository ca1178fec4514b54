"""The kernel's log as it lies there: records of /dev/kmsg, and the ring that `dmesg` reads."""

import ctypes
import os
from collections.abc import Iterator

DEVICE = "/dev/kmsg"
FICTION = b"Starting gVisor"  # a sandbox's own start-up text in its place
_RECORD, _RING, _READ_ALL = 8192, 1 << 18, 3


def opened(device: str = DEVICE) -> int:
    """A descriptor that is at the first record and waits for none. Raises OSError."""
    return os.open(device, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)


def records(fd: int, most: int) -> Iterator[bytes]:
    """Those that are there and were not read yet, in so many reads. Raises OSError."""
    for _ in range(most):
        try:
            record = os.read(fd, _RECORD)
        except BrokenPipeError:  # overwritten before it was read: go on with what is there
            continue
        except BlockingIOError:
            return
        if not record:
            return
        yield record


def ring() -> bytes:
    """What `dmesg` reads, by syslog(2). Raises OSError."""
    buffer = ctypes.create_string_buffer(_RING)
    size: int = ctypes.CDLL(None, use_errno=True).klogctl(_READ_ALL, buffer, _RING)
    if size < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return buffer.raw[:size]

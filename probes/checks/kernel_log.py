"""Whether the kernel's log can be read: without it, no Xid and no kill in it means nothing."""

import ctypes
import os

from probes.checking.check import Check, Measurement, Target, measured

CHECK = Check()
DEVICE = "/dev/kmsg"
READ_ALL, NUM_BYTES = 3, 1 << 16  # syslog(2)
BANNER = b"Starting gVisor"


def measure(target: Target) -> list[Measurement]:
    head, where = first(DEVICE), DEVICE
    if isinstance(head, str):
        head, where = by_call(), f"{DEVICE}, syslog(2)"
    refusal = head if isinstance(head, str) else ""
    text = b"" if isinstance(head, str) else head
    return [measured("host", where, refusal=refusal, is_empty=not text, is_gvisor=BANNER in text)]


def first(device: str) -> bytes | str:
    """The first records, or why there are none."""
    found = b""
    try:
        fd = os.open(device, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return error.strerror or str(error)
    try:
        for _ in range(50):
            found += os.read(fd, 8192)
    except OSError as error:
        if not found and not isinstance(error, BlockingIOError):
            return error.strerror or str(error)
    finally:
        os.close(fd)
    return found


def by_call() -> bytes | str:
    """What `dmesg` reads."""
    libc, buffer = ctypes.CDLL(None, use_errno=True), ctypes.create_string_buffer(NUM_BYTES)
    size = libc.klogctl(READ_ALL, buffer, NUM_BYTES)
    return buffer.raw[:size] if size >= 0 else os.strerror(ctypes.get_errno())

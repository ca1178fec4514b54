"""The kernel's log, where it can be read: what it said of memory, crashes and devices since we began."""

import argparse
import os
import re
import sys
import time
from contextlib import suppress
from datetime import datetime, timezone

from probes import kmsg, procfs
from probes.emit import open_log
from probes.redact import redact

WORTH = re.compile(
    r"(?i)oom[-_ ]|out of memory|killed process|^memory: usage|^\[ *\d+\] +\d+ +\d+ "
    r"|segfault at|general protection|traps: "
    r"|NVRM|\bXid\b|nvidia|fabric|fallen off|blocked for more than|hung_task|I/O error|remounting|"
    r"-fs error|AER:|Machine Check|Hardware Error"
)
_MOST, _AT_ONCE = 2000, 1000  # lines kept; records a call: a kernel may chatter


class Kernel:
    """Lines that are worth keeping, from the moment this is made; `reason` says why there are none."""

    def __init__(self, device: str = kmsg.DEVICE) -> None:
        self.num, self.fd, self.reason = 0, -1, ""
        if procfs.is_gvisor():
            self.reason = "gVisor has start-up text of its own, not the kernel's log"
            return
        try:
            self.fd = kmsg.opened(device)
            os.lseek(self.fd, 0, os.SEEK_END)
        except OSError as error:
            self.reason = error.strerror or str(error)

    def read(self) -> list[str]:
        """New lines, as `dmesg --time-format iso` writes them."""
        found: list[str] = []
        if self.fd < 0 or self.num >= _MOST:
            return found
        with suppress(OSError):  # an oversized record counts as nothing new
            for record in kmsg.records(self.fd, _AT_ONCE):
                if line := in_words(record.decode(errors="replace"), time.time() - time.monotonic()):
                    found.append(line)
                    self.num += 1
        return found

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def in_words(record: str, boot: float) -> str:
    """One record of /dev/kmsg as a line; empty where it is not worth keeping. `boot`: unix time of boot.

    >>> in_words("6,1,2500000,-;Out of memory: Killed process 7 (python)", 1795424000.0)
    '2026-11-23T08:53:22,500000+00:00 Out of memory: Killed process 7 (python)'
    >>> in_words("6,1,2500000,-;usb 1-1: new device", 0.0)
    ''
    """
    head, _, rest = record.partition(";")
    fields = head.split(",")
    text = rest.partition("\n")[0].rstrip()
    if len(fields) < 3 or not fields[2].isdigit() or not WORTH.search(text):
        return ""
    when = datetime.fromtimestamp(boot + int(fields[2]) / 1e6, timezone.utc)
    return f"{when.strftime('%Y-%m-%dT%H:%M:%S,%f')}+00:00 {redact(text)}"


def main(argv: list[str] | None = None) -> int:
    """Print what the kernel says from now on that is worth keeping."""
    parser = argparse.ArgumentParser(prog="python -m probes.kernel", description=main.__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, metavar="S", help="how long (default 10)")
    given = parser.parse_args(argv)
    log, kernel, end = open_log("kernel"), Kernel(), time.monotonic() + given.seconds
    if kernel.reason:
        log.warning("kernel.refused", reason=kernel.reason)
        return 0
    while time.monotonic() < end:
        for line in kernel.read():
            log.info("kernel.line", text=line)
        time.sleep(0.2)
    return 0


if __name__ == "__main__":
    sys.exit(main())

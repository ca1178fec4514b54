"""What the command prints, passed on byte for byte: to our own streams and to the launcher's log."""

import fcntl
import os
import pty
import select
import struct
import termios
import threading
import time
import tty
from contextlib import suppress

CHUNK = 1 << 16
HOLD_S = 1.0  # a line without an end is logged after this


def fill_standard() -> None:
    """Open what of 0, 1 and 2 is closed: else a file of ours gets that number, and the command's output."""
    fd = os.open(os.devnull, os.O_RDWR)
    while fd <= 2:
        fd = os.dup(fd)
    os.close(fd)


def write_all(fd: int, data: bytes) -> None:
    """Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


class Screen:
    """Our stdout and stderr, shared by the command's output and one progress line of ours."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.line = ""  # the progress line that stands on the terminal
        self.is_terminal = os.isatty(2) and os.environ.get("TERM") != "dumb"
        self.is_bare = True  # the cursor is at the beginning of a line
        self.dead: set[int] = set()  # our streams that nobody reads any more
        self.said: set[str] = set()

    def put(self, fd: int, data: bytes) -> None:
        """Pass on what the command printed; blocks as the command itself would have."""
        with self.lock:
            self._erase()
            self._write(fd, data)
            if os.isatty(fd):
                self.is_bare = data.endswith(b"\n")

    def say(self, text: str) -> None:
        """Print lines of our own to stderr; given up where a full pipe holds the stream."""
        if not self.lock.acquire(timeout=5):
            return
        try:
            self._erase()
            lead = "" if self.is_bare or not self.is_terminal else "\n"
            self._write(2, (lead + text).encode(errors="backslashreplace"))
            self.is_bare = True
        finally:
            self.lock.release()

    def complain(self, line: str) -> None:
        """Say once what is wrong."""
        if line not in self.said:
            self.said.add(line)
            self.say(f"diagnose: {line}\n")

    def progress(self, text: str) -> None:
        """Rewrite the progress line, where there is a terminal that is free for it."""
        if not self.is_terminal or not self.lock.acquire(blocking=False):
            return
        try:
            if self.is_bare and text != self.line:
                self._erase()
                room = os.get_terminal_size(2).columns - 1
                self._write(2, text[:room].encode(errors="backslashreplace"))
                self.line = text
        except OSError:
            self.dead.add(2)
        finally:
            self.lock.release()

    def wipe(self) -> None:
        """Take the progress line away."""
        with self.lock:
            self._erase()

    def _erase(self) -> None:
        if self.line:
            self.line = ""
            self._write(2, b"\r\x1b[K")

    def _write(self, fd: int, data: bytes) -> None:
        view = memoryview(data)
        while view and fd not in self.dead:
            try:
                view = view[os.write(fd, view) :]
            except BlockingIOError:  # somebody made our stream non-blocking
                select.select([], [fd], [], 1.0)
            except OSError:
                self.dead.add(fd)  # the command goes on: its output still goes to the log


class Tee(threading.Thread):
    """Reads one stream of the command until its end; never raises."""

    def __init__(self, target: int, log: int, screen: Screen) -> None:
        super().__init__(daemon=True)
        self.target, self.log, self.screen = target, log, screen
        self.is_pty = os.isatty(target)
        self.source, self.given = pty.openpty() if self.is_pty else os.pipe()
        self.is_passing = False
        self.heard = time.monotonic()
        self.held = b""
        if self.is_pty:
            tty.setraw(self.given)
            self.resize()

    def resize(self) -> None:
        """Give the command's terminal the size of ours."""
        with suppress(OSError):
            size = fcntl.ioctl(self.target, termios.TIOCGWINSZ, struct.pack("HHHH", 0, 0, 0, 0))
            fcntl.ioctl(self.source, termios.TIOCSWINSZ, size)

    def run(self) -> None:
        while True:
            if self.held and not select.select([self.source], [], [], HOLD_S)[0]:
                self._keep(b"", is_all=True)
                continue
            try:
                data = os.read(self.source, CHUNK)
            except OSError:  # EIO: the last one who had the terminal has closed it
                data = b""
            self.heard = time.monotonic()
            if not data:
                break
            self._keep(data)
            self.is_passing = True
            self.screen.put(self.target, data)
            self.is_passing = False
        self._keep(b"", is_all=True)

    def _keep(self, data: bytes, is_all: bool = False) -> None:
        """Log whole lines: the two streams share one file."""
        self.held += data
        end = max(self.held.rfind(b"\n"), self.held.rfind(b"\r")) + 1
        end = len(self.held) if is_all or len(self.held) - end > CHUNK else end
        if end:
            try:
                write_all(self.log, self.held[:end])
            except OSError as error:  # a full disk: the console still shows it
                self.screen.complain(f"the output is not kept ({error.strerror}), it only passes through")
            self.held = self.held[end:]

    def finish(self, patience_s: float = 2.0) -> bool:
        """Wait for the end; False if some process that cannot be ended keeps the stream open."""
        while self.is_alive():
            self.join(0.05)
            if self.is_alive() and not self.is_passing and time.monotonic() - self.heard > patience_s:
                return False
        return True

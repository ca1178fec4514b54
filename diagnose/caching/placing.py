"""How a folder takes the place of another: in one rename, whoever else does so meanwhile.

The lock beside it only saves work: it dies with its holder, and where a file system knows none the rename
decides.
"""

import ctypes
import errno
import fcntl
import glob
import os
import re
import shutil
import socket
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from diagnose.archive import open_regular
from diagnose.caching.manifest import Refused
from diagnose.follow import boot_id
from probes.cache_kinds import INDUCTOR, LEFT_OUT, kind

DRAFT_S = 86400.0  # a draft that nobody has gone on with for so long is of another image, or another host
BUSY_S = 10.0  # a compiler gives what it writes its name in far less
_EXCHANGE, _AT_FDCWD = 2, -100
_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS}


def beside(folder: Path, what: str) -> Path:
    return folder.parent / f".{folder.name}.{what}"


def holds_something(folder: Path) -> bool:
    """Whether a compiler has put anything there."""
    return any(
        kind(INDUCTOR, Path(base, name).relative_to(folder).as_posix()) not in LEFT_OUT
        for base, _, names in os.walk(folder)
        for name in names
    )


def is_at_work(folder: Path) -> bool:
    """Whether a compiler is busy there: it holds a lock, or has just begun a file."""
    for base, _, names in os.walk(folder):
        for name in names:
            path = Path(base, name)
            what = kind(INDUCTOR, path.relative_to(folder).as_posix())
            with suppress(OSError):
                if what == "draft" and time.time() - path.lstat().st_mtime < BUSY_S:
                    return True
                if what == "lock" and is_held(path):
                    return True
    return False


def is_held(path: Path) -> bool:
    """Whether somebody has locked a file. Raises OSError."""
    with open_regular(path) as file:
        try:
            lock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def owner() -> str:
    """This host or container, as a part of a file's name: on a shared volume each has its own drafts."""
    name = f"{os.environ.get('MODAL_TASK_ID') or socket.gethostname()}-{boot_id()[:8]}"
    return re.sub(r"[^A-Za-z0-9-]", "-", name)[:60]


def lock(number: int, how: int) -> None:
    """`flock`, where there is such a thing. Raises OSError: BlockingIOError where another has it."""
    try:
        fcntl.flock(number, how)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise


@contextmanager
def turn(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """One at a time on this host. Raises OSError."""
    place = beside(folder, "seed-lock")
    place.parent.mkdir(parents=True, exist_ok=True)
    number = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            lock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("somebody else seeds this cache: waiting for that")
            lock(number, fcntl.LOCK_EX)
        yield
    finally:
        os.close(number)


def is_ours(folder: Path) -> bool:
    """Whether it is a folder of this user's: beside a cache in /tmp anybody may make one."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o002


def recover(folder: Path) -> None:
    """What a killed one left: the folder it moved away takes its place again, or goes; old drafts go."""
    old = beside(folder, "old")
    if is_ours(old):
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)
        else:
            old.rename(folder)
    other = beside(folder, "other")
    if is_ours(other):
        shutil.rmtree(other, ignore_errors=True)
    for draft in folder.parent.glob(f".{glob.escape(folder.name)}.seed-*-*"):
        if is_ours(draft) and time.time() - draft.lstat().st_mtime > DRAFT_S:
            shutil.rmtree(draft, ignore_errors=True)


def require_place(folder: Path, needed: int) -> None:
    """Raises Refused where nothing can be put in place, or it would not fit (bytes)."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise Refused(f"{folder} is no folder")
    if folder.is_mount():
        raise Refused(f"{folder} is a mount point, which cannot be replaced: use a folder below it")
    folder.parent.mkdir(parents=True, exist_ok=True)
    room = os.statvfs(folder.parent)
    if room.f_blocks and room.f_bavail * room.f_frsize < needed:
        raise Refused(f"{needed} bytes do not fit beside {folder}")


def take_place(new: Path, folder: Path, replace: bool) -> bool:
    """Put `new` where `folder` is; False where that one is kept: somebody was faster. Raises Refused."""
    try:
        new.rename(folder)  # also over an empty folder
        return True
    except OSError as error:
        if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
            raise Refused(f"{folder} cannot be replaced: {error.strerror or error}") from None
    if not replace and holds_something(folder):
        shutil.rmtree(new, ignore_errors=True)
        return False
    other, old = beside(folder, "other"), beside(folder, "old")
    shutil.rmtree(other, ignore_errors=True)
    new.rename(other)  # nobody goes on with it as a draft: soon it is what was there before
    if not exchange(other, folder):
        folder.rename(old)  # killed after this: the next one puts it back
        other.rename(folder)
    for left in (other, old):
        shutil.rmtree(left, ignore_errors=True)
    return True


def exchange(one: Path, other: Path) -> bool:
    """Two folders change places in one step, where kernel and file system know how."""
    with suppress(AttributeError):
        call = ctypes.CDLL(None, use_errno=True).renameat2
        return bool(call(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _EXCHANGE) == 0)
    return False

"""The state page: what a rank is doing, in 80 bytes that cost no system call to write."""

import os
from time import time

MAGIC = b"DGSTATE1"
LAYOUT = "<8sIIQQQdddIId"  # of `struct`; little-endian, and so are all machines with CUDA
USED, SIZE = 80, 4096
USR2_TAKEN, HAS_GROUP, EXITING = 1, 2, 4
PHASES = (
    "",
    "init_process_group",
    "compile",
    "backward_compile",
    "cudagraph",
    "eval",
    "checkpoint",
    "load",
    "own",
)
OWN = 8  # a phase of the program's, of any other name
# Positions in the page seen as an array of that type: aligned, so each store is one.
_PID, _FLAGS, _PHASE, _COMPILES = 2, 3, 16, 17  # u32
_START, _STEPS, _PROGRESS = 2, 3, 4  # u64
_LAST_PROGRESS, _LAST_STEP, _PHASE_SINCE, _COMPILE_S = 5, 6, 7, 9  # f64
# How long each step took (f32, s): the first ones for good, of the others the newest. Step 1 has none.
_TIMES, _NUM_FIRST, _NUM_TIMES = 256, 16, 512


class State:
    """A state page as read. Times are unix seconds, 0.0 for never; `phase` is one of PHASES."""

    def __init__(self, raw: bytes) -> None:
        import struct

        fields = struct.unpack_from(LAYOUT, raw)
        self.pid: int = fields[1]
        self.flags: int = fields[2]
        self.start_ticks: int = fields[3]
        self.num_steps: int = fields[4]
        self.num_progress: int = fields[5]
        self.last_progress: float = fields[6]
        self.last_step: float = fields[7]
        self.phase_since: float = fields[8]
        self.phase: str = PHASES[fields[9]] if fields[9] < len(PHASES) else "unknown"
        self.num_compiles: int = fields[10]
        self.compile_s: float = fields[11]

    @property
    def usr2_taken(self) -> bool:
        """The program has a handler of its own for the stack signal."""
        return bool(self.flags & USR2_TAKEN)

    @property
    def has_group(self) -> bool:
        """`init_process_group` has returned."""
        return bool(self.flags & HAS_GROUP)

    @property
    def is_exiting(self) -> bool:
        """The interpreter is on its way out."""
        return bool(self.flags & EXITING)


def read(path: str) -> "State | None":
    """The state page at `path`; None where there is none yet, or something else."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        raw = os.read(fd, USED)
    except OSError:
        return None
    finally:
        os.close(fd)
    return State(raw) if len(raw) == USED and raw[:8] == MAGIC else None


def step_times(path: str) -> "tuple[int, list[float], list[float]]":
    """(steps so far, seconds of steps 2, 3, ..., of the newest steps after those) of the page at `path`.

    What the clock's being set has spoiled is left out.
    """
    import struct

    page = read(path)
    if page is None or page.num_steps < 2:
        return (page.num_steps if page else 0), [], []
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            raw = os.pread(fd, 4 * _NUM_TIMES, 4 * _TIMES)
        finally:
            os.close(fd)
        times = struct.unpack(f"<{_NUM_TIMES}f", raw)
    except (OSError, struct.error):
        return page.num_steps, [], []
    num = min(page.num_steps + 1, _NUM_TIMES)
    first, newest = times[2 : min(num, _NUM_FIRST)], times[_NUM_FIRST:num]
    return page.num_steps, [t for t in first if 0 <= t < 1e7], [t for t in newest if 0 <= t < 1e7]


def timings(path: str) -> "dict[str, object] | None":
    """The data of `steps.timed`; None where there were no two steps."""
    num, first, newest = step_times(path)
    if not first:
        return None
    ordered = sorted(first[1:] + newest or first)

    def share(part: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(part * len(ordered)))], 6)

    return {
        "num_steps": num,
        "first_s": [round(one, 6) for one in first[:8]],
        "p10_s": share(0.1),
        "median_s": share(0.5),
        "p90_s": share(0.9),
        "max_s": share(1.0),
    }


class Page:
    """The writer's side. Made new and moved into place, so that a former owner keeps its own."""

    def __init__(self, path: str, pid: int, start_ticks: int) -> None:
        import mmap

        draft = f"{path}.{pid}.tmp"
        fd = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            if os.write(fd, MAGIC.ljust(SIZE, b"\0")) != SIZE:
                raise OSError("short write")  # storing where no block is would be SIGBUS
            self.map = mmap.mmap(fd, SIZE)
            self._duplicate = _close_duplicate(fd, draft)
            self._u32 = memoryview(self.map).cast("I")
            self._u64 = memoryview(self.map).cast("Q")
            self._f64 = memoryview(self.map).cast("d")
            self._f32 = memoryview(self.map).cast("f")
            self._u32[_PID], self._u64[_START] = pid, start_ticks
            os.replace(draft, path)
        finally:
            os.close(fd)

    def flag(self, bit: int) -> None:
        """Set a flag."""
        self._u32[_FLAGS] |= bit

    def progress(self) -> None:
        """Something moved."""
        self._f64[_LAST_PROGRESS] = time()
        self._u64[_PROGRESS] += 1

    def step(self) -> int:
        """An optimizer step ended; how many so far. Nothing but stores: this is the hot path."""
        now = time()
        self._u64[_STEPS] = num = self._u64[_STEPS] + 1
        at = num if num < _NUM_FIRST else _NUM_FIRST + (num - _NUM_FIRST) % (_NUM_TIMES - _NUM_FIRST)
        self._f32[_TIMES + at] = now - self._f64[_LAST_STEP]
        self._f64[_LAST_STEP] = self._f64[_LAST_PROGRESS] = now
        self._u64[_PROGRESS] += 1
        return num

    @property
    def num_steps(self) -> int:
        return self._u64[_STEPS]

    def enter(self, phase: int, now: float = 0.0) -> None:
        """A phase begins (index into PHASES); 0 ends it. `now` is unix seconds, where they are at hand."""
        if phase in (2, 3):
            self._u32[_COMPILES] += 1
        now = now or time()
        self._f64[_PHASE_SINCE] = now if phase else 0.0
        self._u32[_PHASE] = phase
        self._f64[_LAST_PROGRESS] = now
        self._u64[_PROGRESS] += 1

    def add_compile(self, seconds: float) -> None:
        """A compile ended."""
        self._f64[_COMPILE_S] += seconds

    def keep(self) -> None:
        """Never let the map be freed: that closes a descriptor number which may be the program's by then."""
        if self._duplicate >= 0:
            import ctypes

            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self.map))
            self._duplicate = -1

    def keep_if_needed(self) -> None:
        """The same at exit, where ctypes is worth loading only if the number is in use again."""
        if self._duplicate >= 0:
            try:
                os.fstat(self._duplicate)
            except OSError:
                return
            self.keep()


def _close_duplicate(fd: int, path: str) -> int:
    """Close the descriptor that `mmap` keeps: the program's numbers must stay what they would be."""
    for name in os.listdir("/proc/self/fd"):
        try:
            if int(name) != fd and os.readlink(f"/proc/self/fd/{name}") == os.path.realpath(path):
                os.close(int(name))
                return int(name)
        except OSError:
            continue
    return -1

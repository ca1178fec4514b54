"""What C frames tell, from gdb, the kernel or below a Python stack: names of library functions. Pure."""

import re
from collections.abc import Sequence

# The first that any frame fits counts; a wait for a condition is what idle threads do.
SIGNATURES = (
    (
        "collective",
        re.compile(r"^(?:p?nccl[A-Z]|c10d::(?:ProcessGroup|Work|Reducer)|gloo::|P?MPI_|bootstrap[A-Z])"),
    ),
    (
        "device",
        re.compile(
            r"^(?:cu|cuda)(?:Stream|Device|Event|Ctx)Synchronize|^cuMemcpy|^nvidia_|^_nv\d{6}rm|^os_acquire_"
        ),
    ),
    (
        "idle",
        re.compile(
            r"pthread_cond_(?:timed)?wait|^epoll_wait|^ep_poll|^do_epoll_wait|^take_gil|^PyEval_RestoreThread"
        ),
    ),
    (
        "storage",
        re.compile(
            r"^(?:nfs\d?_|rpc_wait|fuse_|request_wait_answer|ll_|cl_io_|osc_|ceph_|cxiWait|wait_on_page|folio_wait"
            r"|io_schedule|jbd2_|xfs_|ext4_|blk_mq_)|^(?:__)?(?:GI___)?(?:f(?:data)?sync|syncfs|sync_file_range)$"
        ),
    ),
    ("lock", re.compile(r"pthread_mutex_lock|lll_(?:mutex_)?lock|pthread_rwlock_|pthread_spin_lock")),
)
# Waits for the interpreter's lock, and what of the interpreter calls into C.
ASKS = re.compile(r"^(?:take_gil|PyGILState_Ensure|PyEval_(?:RestoreThread|AcquireThread|AcquireLock)\b)")
CALLS = re.compile(
    r"^(?:_?PyEval_Eval|_PyFunction_|_?PyObject_(?:Vector)?[Cc]all|_Py(?:CFunction|MethodDef)_|c?method_vectorcall"
    r"|cfunction_|pybind11::cpp_function::dispatcher|builtin_exec|_?PyEval_Vector)"
)
# Where a thread sleeps, or waits for a device: nobody does that with the interpreter's lock on purpose.
SLEEPS = re.compile(
    r"^(?:cu[A-Z]|cuda[A-Z]|_*(?:GI_+)?(?:pthread_(?:mutex_lock|cond_)|lll_lock|futex_|new_sem_wait|sem_wait"
    r"|nanosleep|clock_nanosleep|poll\b|select\b|epoll_wait|libc_(?:read|recv|poll)|fsync|flock))"
)
INNER = 12  # frames that tell what a thread waits for


def by_names(names: Sequence[str]) -> tuple[str, str] | None:
    """What a stack's function names settle, with the one that does.

    >>> by_names(["__lll_lock_wait", "___pthread_mutex_lock", "flush"])
    ('lock', '__lll_lock_wait')
    """
    for is_, words in SIGNATURES:
        if name := next((name for name in names if words.search(name)), ""):
            return is_, name
    return None


def asks(names: Sequence[str]) -> bool:
    """Whether a thread waits for the interpreter's lock."""
    return any(ASKS.search(name) for name in names[:INNER])


def may_hold(names: Sequence[str]) -> bool:
    """Whether a thread is in a C call of the interpreter's, and does not wait for its lock."""
    return not asks(names) and any(CALLS.search(name) for name in names)

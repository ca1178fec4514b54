"""Is a thread standing still, and since when? The kernel's own counts, read without touching the process."""

from typing import Any

from probes import procfs

_LOOP = "pt_gloo_runloop"  # torch's threads that run gloo's collectives, one each at a time
_FUTEX = {"202", "98"}  # x86-64, arm64


def describe(pid: int) -> dict[str, Any]:
    """What is known of the main thread and of gloo; a key is left out where the kernel does not tell.

    `switches`: how often the main thread has given up its CPU. `still_s`: seconds since it last ran.
    `gloo_open`: collectives that gloo has begun here and not ended; `gloo_threads`: its loop threads;
    `gloo_turns`: how often these have gone to sleep, which they do when one is begun or has ended.
    """
    found: dict[str, Any] = {}
    if (switches := procfs.switches(pid)) is not None:
        found["switches"] = switches
    now, last = procfs.last_ran_ms("/proc/thread-self"), procfs.last_ran_ms(f"/proc/{pid}/task/{pid}")
    if now is not None and last is not None:
        found["still_s"] = round(max(0.0, (now - last) / 1000), 3)
    loops = [thread.pid for thread in procfs.threads(pid) if thread.comm == _LOOP]
    calls = [(procfs.word(pid, f"task/{thread}/syscall") or "").split() for thread in loops]
    if calls and all(call and call[0] != "-1" for call in calls):
        found |= {"gloo_open": sum(_is_open(call) for call in calls), "gloo_threads": len(loops)}
        found["gloo_turns"] = sum(procfs.switches(pid, thread) or 0 for thread in loops)
    return found


def _is_open(call: list[str]) -> bool:
    """Whether a loop thread is at work: without work it waits for ever, with work it waits with a limit.

    >>> _is_open("202 0x7fac 0x189 0x0 0x7fac5effc240 0x0 0xffffffff 0x7fac 0x7fac".split())
    True
    >>> _is_open("202 0x55e4 0x189 0x0 0x0 0x0 0xffffffff 0x7fac 0x7fac".split())
    False
    >>> _is_open(["running"])
    True
    """
    if call[0] not in _FUTEX:
        return True
    return len(call) > 4 and call[4] != "0x0"

"""Which kernel this is, what we are to it, what it tells of itself."""

import os
import signal
import time
from collections.abc import Iterator

from probes import kmsg, procfs
from probes.offered.item import Item, of_error

_CAPABILITIES = [
    "chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid",
    "setpcap", "linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw",
    "ipc_lock", "ipc_owner", "sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct",
    "sys_admin", "sys_boot", "sys_nice", "sys_resource", "sys_time", "sys_tty_config", "mknod", "lease",
    "audit_write", "audit_control", "setfcap", "mac_override", "mac_admin", "syslog", "wake_alarm",
    "block_suspend", "audit_read", "perfmon", "bpf", "checkpoint_restore",
]  # fmt: skip


def items() -> Iterator[Item]:
    version = (procfs.read("/proc/version") or b"").decode(errors="replace").strip()
    yield Item("kernel", "present", version or " ".join(os.uname()[::2]))
    yield Item("sandbox", "present", "gVisor") if procfs.is_gvisor() else Item("sandbox", "absent")
    yield Item("uid", "present", os.getuid())
    status = parse(procfs.read("/proc/self/status") or b"")
    yield masked("capabilities", status.get("CapEff"), _CAPABILITIES)
    for name, field in (("seccomp", "Seccomp"), ("no_new_privileges", "NoNewPrivs")):
        yield told(name, status.get(field))
    yield told("yama", (procfs.read("/proc/sys/kernel/yama/ptrace_scope") or b"").decode().strip() or None)
    yield told("boot_id", (procfs.read("/proc/sys/kernel/random/boot_id") or b"").decode().strip() or None)
    names = [signal.Signals(n).name if n in set(signal.Signals) else str(n) for n in range(1, 65)]
    for who in ("1", "self"):
        own = parse(procfs.read(f"/proc/{who}/status") or b"")
        for kind in ("SigBlk", "SigIgn", "SigCgt"):
            yield masked(f"signals.{who}.{kind}", own.get(kind), names)
    yield from clock()
    yield kernel_log()


def parse(raw: bytes) -> dict[str, str]:
    """The fields of a `status` file.

    >>> parse(b"CapEff:\\t00ff\\nSeccomp:\\t2\\n")
    {'CapEff': '00ff', 'Seccomp': '2'}
    """
    pairs = (line.partition(":") for line in raw.decode(errors="replace").splitlines())
    return {name: value.strip() for name, _, value in pairs}


def told(name: str, value: str | None) -> Item:
    if value is None:
        return Item(name, "absent", reason="this kernel does not tell")
    return Item(name, "present", int(value) if value.isdigit() else value)


def masked(name: str, mask: str | None, names: list[str]) -> Item:
    """The bits of a mask by their names.

    >>> masked("m", "5", ["a", "b", "c"])
    Item(name='m', state='present', value=['a', 'c'], reason='')
    """
    try:
        bits = int(mask or "", 16)
    except ValueError:
        return Item(name, "absent", reason="this kernel does not tell")
    return Item(name, "present", [word for at, word in enumerate(names) if bits >> at & 1])


def clock() -> Iterator[Item]:
    """The wall clock against the others: a container may be given an offset."""
    wall, mono, boot = time.time(), time.monotonic(), procfs.uptime_s()
    value = {"unix": round(wall, 3), "monotonic": round(mono, 3), "uptime": boot, "zone": time.tzname[0]}
    yield Item("clock", "present", value)


def kernel_log() -> Item:
    """The kernel's ring buffer: real, a sandbox's fiction, or not for us."""
    try:
        text = kmsg.ring()
    except OSError:
        text = None
    if procfs.is_gvisor() or (text and kmsg.FICTION in text):
        return Item("kernel_log", "refused", reason="gVisor's own start-up text, not the kernel's log")
    try:
        os.close(kmsg.opened())
    except OSError as error:
        return of_error("kernel_log", error) if text is None else Item("kernel_log", "present", "syslog")
    return Item("kernel_log", "present", kmsg.DEVICE)

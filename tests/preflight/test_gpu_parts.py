"""Parts of the GPU checks that no recorded machine shows."""

import errno
import os
from pathlib import Path

import pytest

from probes import procfs
from probes.checks import gpu_count, numa_affinity, pci_redirect, stuck_processes, under_load, visible_devices
from probes.cuda.load import load
from probes.nvml import kernel_log
from probes.nvml.asking import Asked

UUIDS = ["GPU-0a", "GPU-1b", "GPU-2c"]


@pytest.mark.parametrize(
    ("value", "num_unreadable", "num_twice", "num_not_there", "num_devices", "num_missing"),
    [
        ("0,1,2", 0, 0, 0, 3, 0),
        (" 2, 1 ,0", 0, 0, 0, 3, 0),
        ("GPU-0a,GPU-2c", 0, 0, 0, 2, 1),
        ("GPU-", 1, 0, 1, 0, 2),
        ("0,1,0", 0, 1, 0, 2, 0),
        ("0,7", 0, 0, 1, 1, 1),
        ("0,-1,2", 0, 0, 0, 2, 2),  # -1 hides what follows
        ("0;1", 1, 0, 1, 0, 2),
        ("", 0, 0, 0, 0, 3),
    ],
)
def test_visible_devices_are_read_as_cuda_reads_them(
    value: str, num_unreadable: int, num_twice: int, num_not_there: int, num_devices: int, num_missing: int
) -> None:
    told = visible_devices.of(visible_devices.CUDA, value, UUIDS, 3).values
    assert told == {
        "value": value,
        "num_unreadable": num_unreadable,
        "num_twice": num_twice,
        "num_not_there": num_not_there,
        "num_devices": num_devices,
        "num_missing": num_missing,
    }


def test_a_form_is_read_where_no_gpu_is_known() -> None:
    told = visible_devices.of(visible_devices.CUDA, "0,0,x", None, 0).values
    assert (told["num_unreadable"], told["num_twice"], told["num_not_there"]) == (1, 1, None)
    assert visible_devices.of(visible_devices.CONTAINER, "all", UUIDS, 0).values["num_missing"] is None
    assert visible_devices.of(visible_devices.CUDA, None, UUIDS, 8).values["num_missing"] == 5


def bridge(at: Path, control: int) -> None:
    """A bridge whose second extended capability is access control."""
    space = bytearray(4096)
    space[0x100:0x104] = (0x0001 | 1 << 16 | 0x148 << 20).to_bytes(4, "little")
    space[0x148:0x14C] = (pci_redirect.ACS | 1 << 16).to_bytes(4, "little")
    space[0x14E:0x150] = control.to_bytes(2, "little")
    (at / "config").write_bytes(space)


def test_bridges_above_a_gpu_say_whether_they_redirect(tmp_path: Path) -> None:
    tree = tmp_path / "pci0000:00"
    gpu = tree / "0000:00:01.0" / "0000:01:00.0" / "0000:02:00.0"
    gpu.mkdir(parents=True)
    bridge(gpu.parent, 0x1D)
    bridge(gpu.parent.parent, 0x01)
    above = list(pci_redirect.bridges(str(gpu)))
    assert [Path(path).name for path in above] == ["0000:01:00.0", "0000:00:01.0"]
    assert [pci_redirect.control(path) for path in above] == [0x1D, 0x01]
    (gpu / "config").write_bytes(bytes(256))
    assert pci_redirect.control(str(gpu)) is None  # without root only the first part is given
    around = bytearray(4096)
    around[0x100:0x104] = (0x0001 | 0x100 << 20).to_bytes(4, "little")
    (gpu / "config").write_bytes(around)
    assert pci_redirect.control(str(gpu)) is None


def test_a_process_on_the_other_socket_is_far_from_its_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sys/devices/system/cpu").mkdir(parents=True)
    (tmp_path / "sys/devices/system/cpu/online").write_text("0-95\n")
    monkeypatch.setenv("DIAGNOSE_HOST_ROOT", str(tmp_path))
    said = {("count", -1): 2, ("cpus", 0): list(range(48)), ("cpus", 1): list(range(48, 96))}
    monkeypatch.setattr(numa_affinity.reading, "answers", lambda target: Asked(said=said))
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    near, far = numa_affinity.measure(None)  # type: ignore[arg-type]
    assert (near.values["num_near_allowed"], far.values["num_near_allowed"], far.values["is_pinned"]) == (
        8,
        0,
        True,
    )


def test_xids_of_the_kernels_log_are_told_once_with_their_age(tmp_path: Path) -> None:
    log = tmp_path / "kmsg"
    lines = ["4,1,1000000,-;NVRM: Xid (PCI:0000:53:00): 13, pid=1, name=p, Graphics SM"] * 100
    lines += [" SUBSYSTEM=pci", "4,2,2000000,-;NVRM: GPU at PCI:0000:64:00: GPU-1", "Xid", "\udcff"]
    lines += ["4,3,3000000,-;NVRM: GPU 0000:64:00.0: GPU has fallen off the bus."]
    log.write_bytes("\n".join(lines).encode("utf-8", "surrogateescape"))
    found, why = kernel_log.xids(str(log))
    assert ([(line.bus, line.code) for line in found], why) == (
        [("0000:53:00", 13), ("0000:64:00.0", 79)],
        "",
    )
    assert kernel_log.same_bus("0000:64:00.0", {"00000000:64:00.0": 1}) == 1
    assert kernel_log.same_bus("0000:65:00", {"00000000:64:00.0": 1}) is None
    assert kernel_log.xids(str(tmp_path / "none"))[1] == "No such file or directory"


def test_what_load_does_is_told_only_where_there_was_load() -> None:
    reasons = dict.fromkeys(("is_idle", *under_load.REASONS), False)
    told = {"reasons": reasons, "clocks": {"sm_mhz": 990, "max_sm_mhz": 1980}, "pcie": None}
    assert under_load.of("gpu 0", told).values["share_of_max"] == 0.5  # type: ignore[arg-type]
    assert under_load.of("gpu 0", {**told, "reasons": {**reasons, "is_idle": True}}).skip  # type: ignore[dict-item]
    assert under_load.of("gpu 0", {}).skip


@pytest.mark.torch
@pytest.mark.slow
def test_a_device_that_computes_wrong_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    assert load("cpu", 0.2, 128)["num_wrong"] == 0
    calls, right = [0], torch.Tensor.__matmul__

    def wrong(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        calls[0] += 1
        made = right(one, other)
        made[0, 0] += calls[0] == 4  # one product of many, by one
        return made

    monkeypatch.setattr(torch.Tensor, "__matmul__", wrong)
    assert load("cpu", 0.2, 128)["num_wrong"] == 1


def test_device_nodes_of_others_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As under Slurm, whose control groups let nobody open the GPUs of another job."""
    (tmp_path / "dev").mkdir()
    for num in range(3):
        (tmp_path / "dev" / f"nvidia{num}").touch()
    monkeypatch.setenv("DIAGNOSE_HOST_ROOT", str(tmp_path))
    assert gpu_count.num_open() == 3
    real = os.open

    def refuse(path: str, flags: int) -> int:
        if str(path).endswith(("nvidia1", "nvidia2")):
            raise PermissionError(errno.EPERM, "no") if path.endswith("1") else OSError(errno.EIO, "lost")
        return real(path, flags)

    monkeypatch.setattr(os, "open", refuse)
    assert gpu_count.num_open() == 2


def test_a_process_that_reads_much_is_not_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = procfs.stat(os.getpid())
    assert mine
    count = iter(range(99))
    monkeypatch.setattr(stuck_processes, "BETWEEN_S", 0.0)
    monkeypatch.setattr(procfs, "pids", lambda: [7])
    monkeypatch.setattr(stuck_processes, "is_ours", lambda told: True)
    monkeypatch.setattr(procfs, "stat", lambda pid: mine._replace(pid=7, ppid=1, comm="reader", state="D"))
    monkeypatch.setattr(procfs, "switches", lambda pid: next(count))
    assert stuck_processes.measure(None)[0].values["num_stuck"] == 0  # type: ignore[arg-type]
    monkeypatch.setattr(procfs, "switches", lambda pid: 5)
    assert stuck_processes.measure(None)[0].values == {"num_stuck": 1, "who": "7 reader"}  # type: ignore[arg-type]


def test_what_another_check_started_is_not_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = procfs.stat(os.getpid())
    assert mine
    monkeypatch.setattr(procfs, "pids", lambda: [7, 8])
    monkeypatch.setattr(stuck_processes, "is_ours", lambda told: True)
    parents = {7: os.getppid(), 8: 1}
    monkeypatch.setattr(procfs, "stat", lambda pid: mine._replace(pid=pid, ppid=parents[pid], state="D"))
    monkeypatch.setattr(procfs, "switches", lambda pid: 5)
    assert [pid for pid, *_ in stuck_processes.waiting()] == [8]

"""A failure that says what the machine had no more of, in the words of the many who say so."""

# ruff: noqa: E501  (the messages stand as they are printed)

import pytest

from diagnose.model import Event
from diagnose.pipeline import judge
from diagnose.playbook import load

BOOK = load()
CACHE = "/tmp/torchinductor_me/ab/cabc.main.cpp"
TEXTS = [
    ("OSError", "[Errno 28] No space left on device: '/scratch/ckpt/step-100.pt'", "host_disk_full"),
    ("RuntimeError", "[enforce fail at inline_container.cc:595] . PytorchStreamWriter failed: No space left on device", "host_disk_full"),
    ("torch._inductor.exc.InductorError", f"OSError: [Errno 28] No space left on device: '{CACHE}'", "host_disk_full"),
    ("OSError", "[Errno 122] Disk quota exceeded: '/home/me/out.txt'", "host_disk_full"),
    ("RuntimeError", "unable to write to file </torch_77_12_0>: No space left on device (28)", "host_shm_exhausted"),
    ("RuntimeError", "DataLoader worker (pid 77) is killed by signal: Bus error. It is possible that dataloader's workers are out of shared memory. Please try to raise your shared memory limit.", "host_shm_exhausted"),
    ("torch.distributed.DistBackendError", "NCCL error: unhandled system error\nLast error:\nError: failed to extend /dev/shm/nccl-Xy to 9637892 bytes, error: No space left on device (28)", "host_shm_exhausted"),
    ("OSError", "[Errno 24] Too many open files: '/data/shard-7.bin'", "host_fd_exhausted"),
    ("RuntimeError", "unable to open shared memory object </torch_1_2> in read-write mode: Too many open files (24)", "host_fd_exhausted"),
    ("RuntimeError", "received 0 items of ancdata", "host_fd_exhausted"),
    ("torch.distributed.DistBackendError", "NCCL error\nLast error:\nCall to ibv_reg_mr_iova2 failed with error Cannot allocate memory", "host_memlock_limit"),
    ("RuntimeError", "[enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 8000000000 bytes. Error code 12 (Cannot allocate memory)", "host_memory_exhausted"),
    ("numpy._core._exceptions._ArrayMemoryError", "Unable to allocate 29.8 GiB for an array with shape (4000000000,)", "host_memory_exhausted"),
    ("torch.OutOfMemoryError", "CUDA out of memory. Tried to allocate 2.00 GiB.", "cuda_oom"),
    ("OSError", f"[Errno 116] Stale file handle: '{CACHE}'", "compile_cache_race"),
    ("torch._inductor.exc.InductorError", f"FileNotFoundError: [Errno 2] No such file or directory: '{CACHE}.tmp' -> '{CACHE}'", "compile_cache_race"),
    ("OSError", "[Errno 26] Text file busy: '/home/me/.triton/cache/ab12/launcher.so'", "compile_cache_race"),
    ("OSError", "[Errno 122] Disk quota exceeded: '/nfs/me/triton_cache/ab12/kernel.json'", "compile_cache_race"),
    ("OSError", "[Errno 39] Directory not empty: '/home/me/.triton/cache/tmp.pid_1' -> '/home/me/.triton/cache/k'", "compile_cache_race"),
    ("FileNotFoundError", "[Errno 2] No such file or directory: '/data/train/shard-7.bin'", "rank_exception"),
    ("torch._inductor.exc.InductorError", "FileNotFoundError: [Errno 2] No such file or directory: 'g++'", "rank_exception"),
    ("torch._inductor.exc.InductorError", f"CppCompileError: C++ compile error\nOutput:\ncc1plus: fatal error: {CACHE}.main.cpp: No such file or directory\ncompilation terminated.", "compile_cache_race"),
    ("torch._inductor.exc.InductorError", f"CppCompileError: C++ compile error\nOutput:\n{CACHE}.main.cpp:2:10: fatal error: Python.h: No such file or directory\n", "rank_exception"),
]  # fmt: skip


def event(kind, rank=None, time=None, source="agent", **data):
    return Event(
        kind=kind, source=source, where="attempts/1/events/x.jsonl:1", rank=rank, time=time, data=data
    )


def run(*events):
    claims = [event("rank.claimed", r, 1.0, "rank_hook", pid=100 + r, world_size=2) for r in (0, 1)]
    ends = [event("rank.died", 1, 12.0, exit_code=1), event("command.ended", None, 13.0, "run", exit_code=1)]
    return [(c.failure, c.ranks) for c in judge("run", [*claims, *events, *ends], BOOK).causes]


def raised(text, type="OSError", time=10.0, source="rank_hook", **more):
    frames = more.pop("frames", ["/app/train.py:7 in step"])
    return event("exception.raised", 1, time, source, type=type, message=text, frames=frames, **more)


@pytest.mark.parametrize(("name", "text", "failure"), TEXTS, ids=[f"{n}-{f}" for n, _, f in TEXTS])
def test_the_words_name_the_resource(name, text, failure):
    assert run(raised(text, name)) == [(failure, [1])]


def test_a_file_of_a_cache_is_known_by_the_code_that_keeps_it():
    frames = [
        "/v/lib/torch/_inductor/codecache.py:600 in write_atomic",
        "/usr/lib/python3.12/pathlib.py:1000 in rename",
    ]
    text = "[Errno 2] No such file or directory: '/mnt/c/ab/.1.tmp' -> '/mnt/c/ab/k.py'"
    assert run(raised(text, "FileNotFoundError", frames=frames)) == [("compile_cache_race", [1])]


def test_a_file_of_a_cache_is_known_by_the_folder_the_rank_told():
    told = event("phase.started", 1, 5.0, "rank_hook", phase="compile", inductor_cache="/mnt/c")
    assert run(told, raised("[Errno 116] Stale file handle: '/mnt/c/ab/k.so'")) == [
        ("compile_cache_race", [1])
    ]


def test_a_word_in_the_log_alone_counts_where_the_rank_ended_by_itself_without_an_exception():
    line = event(
        "resource.refused", 1, None, "rank_log", text="cp: error writing 'x': No space left on device"
    )
    assert run(line) == [("host_disk_full", [1])]
    assert run(line, raised("shapes do not match", "ValueError")) == [("rank_exception", [1])]


def test_a_write_that_failed_for_no_given_reason_is_held_against_the_disks():
    text = "[enforce fail at inline_container.cc:672] . unexpected pos 640 vs 534"
    full = event("disks.read", None, 10.2, full=[{"point": "/scratch", "spent": "blocks", "free": 7168}])
    assert run(raised(text, "RuntimeError"), full) == [("host_disk_full", [1])]
    assert run(raised(text, "RuntimeError"), event("disks.read", None, 10.2, full=[])) == [
        ("storage_write_failed", [1])
    ]
    assert run(raised("shapes do not match", "ValueError"), full) == [("rank_exception", [1])]
    low = event("disks.read", None, 10.2, full=[{"point": "/scratch", "spent": "blocks", "free": 9 << 30}])
    assert run(raised(text, "RuntimeError"), low) == [("storage_write_failed", [1])], "little is not nothing"


def test_a_bus_error_is_held_against_shared_memory():
    full = event("disks.read", None, 10.2, full=[{"point": "/dev/shm", "spent": "blocks", "free": 0}])
    died = event("rank.died", 1, 10.0, signal=7)
    claims = [event("rank.claimed", r, 1.0, "rank_hook", pid=100 + r, world_size=2) for r in (0, 1)]
    found = judge("run", [*claims, died, full], BOOK)
    assert [(c.failure, c.ranks) for c in found.causes] == [("host_shm_exhausted", [1])]

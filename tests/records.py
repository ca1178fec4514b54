"""A run's record that lacks nothing, and others like it, for tests that hold two against each other."""

from msgspec.structs import replace

from diagnose.contract import (
    CacheSize,
    Compile,
    Distributed,
    Git,
    Gpu,
    Gpus,
    RankRecord,
    RunRecord,
    Steps,
)

H200 = [Gpu("NVIDIA H200", 141 << 30, f"GPU-{n}", [n]) for n in range(8)]
GOOD = RunRecord(
    run="good",
    exit_path="exit",
    exit_code=0,
    command="torchrun --nproc-per-node 8 train.py --lr 0.1",
    arguments=["torchrun", "--nproc-per-node", "8", "train.py", "--lr", "0.1", "--data", "/data/a"],
    started=100.0,
    ended=200.0,
    ranks=[RankRecord(rank=n, first_forward_s=60.0 + n, first_step_s=80.0, node="h1") for n in range(8)],
    lane="training",
    rank_variables={},
    installed={"numpy": "1.26.4", "torch": "2.8.0", "mylib": "0.1 editable aaa"},
    host={"cpus": 8.0, "memory": 64 << 30, "open_files": 1024, "locked_memory": "unlimited", "kernel": "6.8"},
    folder="/code",
    variables={"NCCL_DEBUG": "INFO", "OMP_NUM_THREADS": "8", "HF_TOKEN_NCCL_": "<redacted>"},
    versions={"torch": "2.8.0+cu128", "cuda": "12.8", "nccl": "2.27.3", "python": "3.11.7", "diagnose": "1"},
    packages={"flash_attn": "2.7.4", "transformers": "4.50.0"},
    image="im-1",
    git=Git(commit="aa", branch="main", dirty=False, num_changed=0),
    gpus=Gpus(requested="H200:8", visible="0,1,2,3,4,5,6,7", seen=H200, num_visible=8),
    distributed=Distributed("fsdp2", ["fsdp2"], ["nccl"], [], 8, 8),
    compile=Compile("regional", CacheSize(400, 90 << 20), CacheSize(410, 92 << 20), counters={"graphs": 12}),
    steps=Steps(num=50, contaminated=[0], median_s=1.0, p10_s=0.98, p90_s=1.03, max_s=1.2),
    notes={"dataset_hash": "x"},
    end_marker=True,
)


def with_in(**deep):
    """The good record with parts of its parts replaced: `git__dirty=True`."""
    changed = {}
    for path, value in deep.items():
        part, _, key = path.partition("__")
        if not key:
            changed[part] = value
            continue
        now = changed.get(part, getattr(GOOD, part))
        changed[part] = {**now, key: value} if isinstance(now, dict) else replace(now, **{key: value})
    return replace(GOOD, **{"run": "other", "started": 300.0, **changed})

"""Which volume holds what: of a real process, and by mount tables of real machines."""

import os
import subprocess
import sys
from itertools import count

import pytest

from probes import procfs, volumes
from probes.disks import parse_mounts
from probes.volumes import Held
from probes.watching import volumes as watching
from probes.watching.rank import Rank
from probes.watching.volumes import Volumes

MOUNTS = parse_mounts(
    b"25 1 259:1 / / rw - ext4 /dev/nvme0n1p1 rw\n"
    b"30 25 0:44 / /mnt/lake rw - fuse.gcsfuse lake rw\n"
    b"31 25 0:45 /a /mnt/lake/ckpt rw - nfs4 10.0.0.1:/a rw\n"
    b"32 25 259:1 /srv /srv rw - ext4 /dev/nvme0n1p1 rw\n"
    b"33 25 0:50 / /with\\040blank rw - ext4 /dev/nvme1n1 rw\n"
)


@pytest.mark.parametrize(
    ("path", "point"),
    [
        ("/mnt/lake/x.parquet", "/mnt/lake"),
        ("/mnt/lakes/x.parquet", "/"),
        ("/mnt/lake/ckpt/s.pt", "/mnt/lake/ckpt"),
        ("/with blank/x.bin", "/with blank"),
    ],
)
def test_a_path_lies_on_the_longest_mount_above_it(path, point):
    assert volumes.place(path, MOUNTS).point == point


def test_a_bind_mount_of_the_roots_disk_is_the_root_and_fuse_is_remote():
    paths = ("/mnt/lake/x.parquet", "/mnt/lake/ckpt/s.pt", "/srv/c", "/with blank/x.bin")
    rows = volumes.volumes([Held("data", path, "open") for path in paths], MOUNTS, {})
    assert {row["point"]: (row["remote"], row["root"]) for row in rows} == {
        "/mnt/lake": (True, False),
        "/mnt/lake/ckpt": (True, False),
        "/srv": (False, True),
        "/with blank": (False, False),
    }


def test_a_volume_that_the_container_does_not_show_is_known_by_who_mounted_it():
    names = volumes.named("runs-ckpt=/ckpt:data=/data")
    (row,) = volumes.volumes([Held("checkpoints", "/ckpt/a.pt", "open")], MOUNTS, names)
    assert (row["point"], row["volume"], row["remote"], row["root"]) == ("/ckpt", "runs-ckpt", True, False)


@pytest.mark.parametrize(
    ("path", "is_written", "what"),
    [
        ("/x/model.safetensors", True, "checkpoints"),
        ("/x/model.safetensors", False, "data"),
        ("/x/__0_0.distcp", None, "checkpoints"),
        ("/tmp/torchinductor_me/ab/cab.py", False, "cache"),
        ("/x/train.log", True, "diagnostics"),
        ("/x/train.log", False, ""),
        ("/v/lib/python3.11/site-packages/torch/bin/x.bin", False, ""),
        ("/x/gone.parquet (deleted)", False, ""),
        ("/dev/shm/x.bin", False, ""),
        ("/x/train.py", False, ""),
    ],
)
def test_what_a_file_is_to_a_job(path, is_written, what):
    assert volumes.kind(path, is_written) == what


def test_flags_name_folders_and_not_addresses_or_data_sets():
    words = [
        "t.py",
        "--save",
        "s3://b/x",
        "--data",
        "imdb",
        "--output_dir=/o",
        "--dataset-path",
        "/d/x",
        "--save-dir",
    ]
    assert [(h.what, h.path) for h in volumes.told(words, {}, "/w")] == [
        ("checkpoints", "/o"),
        ("data", "/d/x"),
    ]


OPENS = """
import mmap, sys
data, out = open(sys.argv[1], "rb"), open(sys.argv[2], "wb")
held = mmap.mmap(data.fileno(), 0, prot=mmap.PROT_READ)
print("held", flush=True)
sys.stdin.read()
"""


def test_of_a_real_process_what_it_has_open_and_mapped(tmp_path):
    (tmp_path / "a.npy").write_bytes(b"x" * 5000)
    words = [sys.executable, "-c", OPENS, str(tmp_path / "a.npy"), str(tmp_path / "step.pt")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout.readline() == b"held\n"
        rows = volumes.of_process([child.pid])
        maps = list(volumes.mapped_files(procfs.read(f"/proc/{child.pid}/maps")))
        hidden = volumes.of_process([child.pid], spool=str(tmp_path))
    (row,) = [row for row in rows if str(tmp_path) in str(row)]
    assert row["holds"]["checkpoints"] == {"path": str(tmp_path / "step.pt"), "how": "open"}
    assert row["holds"]["data"]["path"] == str(tmp_path / "a.npy")  # open too: Python keeps a descriptor
    assert Held("data", str(tmp_path / "a.npy"), "mapped") in maps
    assert not any("open" in str(one) for one in hidden)


HOLDS = """
import sys
kept = []
for line in sys.stdin:
    mode, path = line.split(" ", 1)
    kept.append(open(path.strip(), mode))
    print("held", flush=True)
"""


def test_a_rank_is_told_of_once_and_again_when_there_is_news(tmp_path, monkeypatch):
    monkeypatch.setattr(watching, "LIMIT_S", 60.0)
    watch, times = Volumes(str(tmp_path / "spool")), count(200, 100_000)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", HOLDS], **pipes) as process:
        one = Rank(0, "1", process.pid, 0, "hook", 0, 1)
        assert not list(watch.look([one], 100.0))  # not yet

        def news(mode, name):
            """What is told once it is open."""
            print(mode, tmp_path / name, file=process.stdin, flush=True)
            assert process.stdout.readline() == "held\n"
            return list(watch.look([one], float(next(times))))

        assert "first.ckpt" in str(news("wb", "first.ckpt"))
        assert not list(watch.look([one], float(next(times))))
        (tmp_path / "d.parquet").write_bytes(b"x")
        ((_, rows),) = news("rb", "d.parquet")
        process.stdin.close()
    assert {"checkpoints", "data"} <= {what for row in rows for what in row["holds"]}


def test_a_look_that_is_late_is_made_again_until_it_is_late_too_often(tmp_path, monkeypatch):
    late, answers = [True, False, True, True, True], []

    def call(function, limit_s):
        answers.append(limit_s)
        return None if late[len(answers) - 1] else function()

    monkeypatch.setattr(watching.deadline, "call", call)
    watch, one = Volumes(str(tmp_path)), Rank(0, "1", os.getpid(), 0, "hook", 0, 1)
    for now in range(100, 2000, 100):
        list(watch.look([one], float(now)))
    assert len(answers) == 5, "once late, then not; then three times"

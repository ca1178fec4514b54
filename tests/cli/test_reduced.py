"""`run --reduced` on real ranks: what hangs alone, and what hangs with its preset too."""

import sys

import msgspec
import pytest

JOB = """
import sys, time
import torch
import torch.distributed as dist
dist.init_process_group("gloo")
total = torch.ones(1)
dist.all_reduce(total)
if sys.argv[1] in sys.argv[2:] and dist.get_rank() == 1:
    time.sleep(1000)
dist.all_reduce(total)
dist.destroy_process_group()
"""
LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "job.py"]


@pytest.mark.slow
@pytest.mark.ranks
@pytest.mark.torch
@pytest.mark.parametrize(
    ("hangs", "answer", "context"),
    [("full", "only_full", "hangs_only_in_full"), ("full small", "both", "hangs_in_reduced_too")],
)
def test_the_pair_answers(place, hangs, answer, context):
    (place.path / "job.py").write_text(JOB)
    preset = " ".join([*LAUNCH, "small", *hangs.split()])
    command = [*LAUNCH, "full", *hangs.split()]
    started = place.start("run", "--root", "runs", "--stall-after", "6", "--reduced", preset, "--", *command)
    _, err = started.communicate(timeout=240)
    full, reduced = sorted(place.root.iterdir())
    assert reduced.name == f"{full.name}-reduced"
    assert started.returncode == 1 and (full / "record.json").is_file(), err.decode()
    record = msgspec.json.decode((full / "record.json").read_bytes())
    assert (record["reduced"]["answer"], record["reduced"]["run"]) == (answer, reduced.name)
    verdict = msgspec.json.decode((full / "verdict.json").read_bytes())
    assert verdict["causes"][0]["ranks"] == [1]
    assert context in {one["failure"] for one in verdict["context"]}

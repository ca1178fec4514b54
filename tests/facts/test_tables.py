"""What `ps`, `df` and `free` list, beside a log: they settle what it leaves open; alone they blame nobody."""

from io import BytesIO

import pytest

from diagnose import pipeline
from diagnose.model import Member
from diagnose.playbook import load

BOOK = load()
WATCHDOG = (
    "[rank0]:[E304 11:42:18.447627510 ProcessGroupNCCL.cpp:607] [Rank 0] Watchdog caught collective "
    "operation timeout: WorkNCCL(SeqNum=71, OpType=ALLREDUCE, NumelIn=4096, NumelOut=4096, "
    "Timeout(ms)=600000) ran for 600016 milliseconds before timing out.\n"
)
PS = "    PID STAT WCHAN  COMMAND\n{rows}"
DF = "Filesystem      Size  Used Avail Use% Mounted on\n/dev/sda1       100G  {used} {percent}% /scratch\n"
FREE = "          total   used   free  shared  buff/cache   available\nMem:      1007   {used}      1       1           5         {left}\n"  # noqa: E501
WRITE = "[rank2]: Traceback (most recent call last):\n[rank2]: RuntimeError: PytorchStreamWriter failed writing file data/7: file write failed\n"  # noqa: E501
KILLED = "E0304 11:42:20.913000 300 torch/distributed/elastic/multiprocessing/api.py:874] failed (exitcode: -9) local_rank: 1 (pid: 311) of binary: python\n"  # noqa: E501


def causes(**files: str) -> list[tuple[str, list[int]]]:
    given = {name.replace("__", "."): text.encode() for name, text in files.items()}
    found = [Member(name, len(data), lambda data=data: BytesIO(data)) for name, data in given.items()]
    verdict = pipeline.diagnose_bundle("b", found, BOOK)
    return [(cause.failure, cause.ranks) for cause in verdict.causes]


def rows(*told: str) -> str:
    return PS.format(rows="".join(f"{row}\n" for row in told))


def test_a_stopped_rank_is_named_by_its_arguments() -> None:
    ps = rows("7735 Rl - python train.py --rank 0", "7736 Tl do_sig python train.py --rank 1")
    assert causes(train__log=WATCHDOG, ps__txt=ps) == [("rank_frozen", [1])]


def test_a_stopped_process_without_a_rank_is_a_cause_without_ranks() -> None:
    ps = rows("7735 Rl - /opt/venv/bin/python3 train.py", "7736 Tl do_sig /opt/venv/bin/python3 train.py")
    assert causes(train__log=WATCHDOG, ps__txt=ps) == [("rank_frozen", [])]


@pytest.mark.parametrize(
    "row",
    ["7736 T do_sig vim train.py", "7736 t ptrace python train.py", "7736 Z - [python] <defunct>",
     "7736 D io_sch python train.py", "7736 S futex_ python train.py"],
)  # fmt: skip
def test_what_is_nothing_by_itself_blames_nobody(row: str) -> None:
    assert causes(ps__txt=rows("7735 Rl - python train.py", row)) == []


def test_a_wait_for_a_file_server_is_one_of_storage() -> None:
    ps = rows("7735 Rl - python train.py", "7736 D rpc_wait_bit_killable python train.py")
    assert [failure for failure, _ in causes(train__log=WATCHDOG, ps__txt=ps)] == ["storage_stalled"]


def test_a_write_that_failed_without_a_reason_met_the_full_disk() -> None:
    full, roomy = DF.format(used="100G     0", percent=100), DF.format(used=" 50G   50G", percent=50)
    assert causes(train__log=WRITE, df__txt=full) == [("host_disk_full", [2])]
    assert causes(train__log=WRITE, df__txt=roomy) == [("storage_write_failed", [2])]
    assert causes(df__txt=full) == []


def test_a_kill_without_a_witness_met_the_full_memory() -> None:
    full, roomy = FREE.format(used=999, left=2), FREE.format(used=99, left=902)
    assert causes(console__log=KILLED, free__txt=full) == [("host_memory_exhausted", [1])]
    assert causes(console__log=KILLED, free__txt=roomy) == causes(console__log=KILLED)
    assert causes(free__txt=full) == []

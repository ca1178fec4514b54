"""What a program's source says of the places on a stack."""

import ast
import os

import pytest

from probes import source
from probes.watching import places

PROGRAM = """\
import torch

def main(rank):
    for epoch in range(3):
        for batch in loader:
            step(
                model,
                batch,
            )
        dist.all_gather(out, torch.ones(1))
    while True:
        work = [
            dist.all_reduce(a, group=g, async_op=True),
            dist.all_reduce(b, group=h, async_op=True),
        ]

    def inner():
        for _ in range(2):
            dist.barrier()

    login(token="sk-0123456789abcdef0123456789abcdef")

main(0)
"""
TREE = ast.parse(PROGRAM)


@pytest.mark.parametrize(
    ("line", "call", "loops"),
    [
        (6, "step(model, batch)", [[4, 10], [5, 9]]),
        (8, "step(model, batch)", [[4, 10], [5, 9]]),
        (10, "dist.all_gather(out, torch.ones(1))", [[4, 10]]),
        (13, "dist.all_reduce(a, group=g, async_op=True)", [[11, 15]]),
        (14, "dist.all_reduce(b, group=h, async_op=True)", [[11, 15]]),
        (19, "dist.barrier()", [[18, 19]]),
        (23, "main(0)", []),
        (1, "", []),
        (999, "", []),
    ],
)
def test_a_line_has_its_call_and_the_loops_of_its_own_function(line, call, loops):
    assert places.place(TREE, line)[:2] == (call, loops)


def test_a_secret_in_a_call_is_hidden():
    assert "0123456789" not in places.place(TREE, 21)[0]


def test_frames_of_the_program_alone_are_looked_up(tmp_path, monkeypatch):
    (tmp_path / "train.py").write_text(PROGRAM)
    frames = [
        {"name": "wait", "filename": "/x/site-packages/torch/distributed/c10d.py", "line": 9},
        {"name": "step", "filename": "gone.py", "line": 6},
        {"name": "main", "filename": "train.py", "line": 10},
        {"name": "<module>", "filename": "train.py", "line": None},
    ]
    threads = [{"thread_name": "T", "frames": []}, {"thread_name": "MainThread", "frames": frames}]
    monkeypatch.chdir(tmp_path)
    (told,) = places.of_frames(source.own_frames(source.main_thread(threads)), os.getpid())
    assert told["frame"] == "main (train.py:10)" and told["loops"] == [[4, 10]]


@pytest.mark.parametrize("text", ["for x in", "\0", "(" * 5000, ""])
def test_a_source_that_is_no_program_tells_nothing(tmp_path, text):
    (tmp_path / "train.py").write_text(text)
    frames = [{"name": "main", "filename": str(tmp_path / "train.py"), "line": 1}]
    assert [one["call"] for one in places.of_frames(frames, os.getpid())] in ([], [""])


BRANCHES = ast.parse("""\
if early:
    share()
    return_ = 1
elif late:
    gather()
else:
    for x in y:
        if stop:
            save()
            break
        go()
""")


@pytest.mark.parametrize(
    ("line", "arms"),
    [
        (2, [[1, 1, 0]]),
        (5, [[1, 0, 0], [4, 1, 0]]),
        (9, [[1, 0, 0], [4, 0, 0], [8, 1, 1]]),
        (11, [[1, 0, 0], [4, 0, 0]]),
        (4, [[1, 0, 0]]),
    ],
)
def test_a_line_has_the_branches_it_is_in(line, arms):
    assert places.place(BRANCHES, line)[2] == arms

"""Who is a rank, from a table of processes: every way that ranks are started, and what looks like one."""

import os
import time

from probes.finding import processes
from probes.finding.jobs import Told, jobs
from probes.finding.processes import Process

PYTHON = ["python", "-u", "train.py"]
SPAWNED = ["python", "-c", "from multiprocessing.spawn import spawn_main; spawn_main(tracker_fd=4)"]
LAUNCHER = ["python", "-m", "torch.distributed.run", "train.py"]


def process(pid, ppid=1, argv=PYTHON, torch=True, group=False, start=0, seen=True, **environ):
    values = {name: str(value) for name, value in environ.items()}
    return Process(pid, ppid, start or pid, "python", argv, values, 0, seen, True, torch, group)


def rank(pid, number, size, ppid=10, port=29500, group=True, **more):
    place = {"WORLD_SIZE": size, "MASTER_ADDR": "localhost", "MASTER_PORT": port, "LOCAL_RANK": number}
    return process(pid, ppid, group=group, RANK=number, **{**place, **more})


def found(*table, told=None):
    """[(rank, pid), ...] of each job."""
    known = {one.pid: one for one in table}
    return [[(r.rank, r.process.pid) for r in job.ranks] for job in jobs(known, told or {})]


def only(*table, told=None):
    [job] = jobs({one.pid: one for one in table}, told or {})
    return job


def test_ranks_of_a_launcher_are_one_job_and_the_launcher_is_no_rank():
    launcher = process(10, 1, LAUNCHER, group=False, RANK=0, WORLD_SIZE=2)
    assert found(launcher, rank(11, 0, 2), rank(12, 1, 2)) == [[(0, 11), (1, 12)]]


def test_workers_that_inherit_a_rank_are_not_it():
    loader = rank(21, 0, 1, ppid=11, group=False)
    compiler = rank(22, 0, 1, ppid=21, group=False)
    assert found(rank(11, 0, 1), loader, compiler) == [[(0, 11)]]


def test_below_a_wrapper_in_python_the_process_with_the_group_is_the_rank():
    wrapper = rank(11, 0, 1, group=False)
    assert found(wrapper, rank(12, 0, 1, ppid=11)) == [[(0, 12)]]


def test_before_there_is_a_group_the_outermost_that_loaded_torch_is_the_rank():
    wrapper = process(11, 10, torch=False, RANK=0, WORLD_SIZE=1)
    inner, worker = (process(pid, pid - 1, RANK=0, WORLD_SIZE=1) for pid in (12, 13))
    assert found(wrapper, inner, worker) == [[(0, 12)]]


def test_two_jobs_on_one_host_are_kept_apart_by_where_their_ranks_meet():
    one = [rank(11, 0, 2), rank(12, 1, 2)]
    other = [rank(21, 0, 2, ppid=20, port=29501), rank(22, 1, 2, ppid=20, port=29501)]
    assert found(*one, *other) == [[(0, 11), (1, 12)], [(0, 21), (1, 22)]]


def test_two_jobs_with_one_port_in_two_networks_are_kept_apart_by_their_parents():
    table = [rank(11, 0, 2), rank(12, 1, 2), rank(21, 0, 2, ppid=20), rank(22, 1, 2, ppid=20)]
    assert found(*table) == [[(0, 11), (1, 12)], [(0, 21), (1, 22)]]


def test_a_rank_without_a_process_is_missing_where_all_ranks_are_of_this_host():
    assert only(rank(11, 0, 3), rank(13, 2, 3)).missing == [1]


def test_ranks_of_other_hosts_are_not_missing():
    far = {"MASTER_ADDR": "10.0.0.1", "LOCAL_WORLD_SIZE": 2}
    job = only(rank(11, 2, 4, LOCAL_RANK=0, **far))
    assert (job.world_size, job.missing) == (4, [3])


def test_a_worker_that_outlived_its_rank_does_not_hide_that_it_is_gone():
    orphan = rank(31, 1, 2, ppid=1, group=False)
    assert only(rank(11, 0, 2), orphan).missing == [1]


def spawned(*pids, group=True, parent=10):
    return [process(parent), *(process(pid, parent, SPAWNED, group=group) for pid in pids)]


def test_spawned_ranks_carry_no_rank_and_are_numbered_by_their_frames():
    told = {11: Told(True, False, 1), 12: Told(True, False, 0)}
    job = only(*spawned(11, 12), told=told)
    assert [(r.rank, r.process.pid, r.how) for r in job.ranks] == [(0, 12, "spawn"), (1, 11, "spawn")]


def test_spawned_ranks_whose_frames_tell_nothing_are_numbered_in_order_of_their_start():
    job = only(*spawned(12, 11))
    assert [(r.rank, r.process.pid, r.how) for r in job.ranks] == [(0, 11, "order"), (1, 12, "order")]


def test_spawned_ranks_that_are_still_joining_are_known_by_their_frames():
    told = {11: Told(True, False, 0), 12: Told(True, False, 1)}
    assert found(*spawned(11, 12, group=False), told=told) == [[(0, 11), (1, 12)]]


def test_loader_workers_of_a_lone_process_are_no_ranks():
    told = {pid: Told(False, True, None) for pid in (11, 12)}
    assert found(*spawned(11, 12, group=False), told=told) == [[(0, 10)]]


def test_ranks_spawned_inside_an_outer_rank_are_ranks_and_the_outer_one_is_not():
    outer = {"RANK": 0, "WORLD_SIZE": 1}
    table = [process(10, 1, **outer), *(process(pid, 10, SPAWNED, group=True, **outer) for pid in (11, 12))]
    assert found(*table) == [[(0, 11), (1, 12)]]


def test_a_scheduler_that_sets_its_own_names_alone_gives_ranks_too():
    step = {"SLURM_NTASKS": "4", "SLURM_JOB_ID": "7"}
    places = [processes.named({"SLURM_PROCID": number, **step}) for number in ("2", "3")]
    job = only(*(process(11 + n, 10, group=True, **place) for n, place in enumerate(places)))
    assert ([one.rank for one in job.ranks], job.world_size, job.missing) == ([2, 3], 4, [])


def test_processes_that_cannot_be_seen_into_are_nobodys_ranks():
    assert found(process(11, seen=False, group=True)) == []


def test_the_table_is_read_on_past_a_process_that_does_not_answer(monkeypatch):
    read = processes.read
    stuck = os.getppid()
    monkeypatch.setattr(processes, "_PATIENCE_S", 0.2)
    monkeypatch.setattr(processes, "read", lambda pid: time.sleep(60) if pid == stuck else read(pid))
    known = processes.table()
    assert not known[stuck].is_seen
    assert len(known) > 2

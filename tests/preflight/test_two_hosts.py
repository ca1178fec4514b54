"""Two network namespaces are two hosts: what each measures of the other, with a way that is too narrow."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from diagnose.preflight.judging import judge
from diagnose.preflight.measured import of_lines
from probes.checking import trial
from probes.checks import host_pairs
from tests.preflight.making import BOOK, free_port, needs_root, target

PAIRS = Path(trial.MAIN).with_name("pairs.py")
CHECKS = ["folders_shared", "host_addresses", "host_throughput", "hosts_reachable", "packet_size"]
NAMES = [f"dg{os.getpid() % 100000}{end}" for end in "ab"]
ADDRESSES = ["10.77.0.1", "10.77.0.2"]


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


@pytest.fixture
def hosts():
    if not shutil.which("ip"):
        pytest.skip("no ip command")
    try:
        for name in NAMES:
            ip("netns", "add", name)
        ip("link", "add", "way", "netns", NAMES[0], "type", "veth", "peer", "name", "way", "netns", NAMES[1])
        for name, address in zip(NAMES, ADDRESSES, strict=True):
            ip("-n", name, "addr", "add", f"{address}/24", "dev", "way")
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "link", "set", "way", "up")
        yield NAMES
    finally:
        for name in NAMES:
            subprocess.run(["ip", "netns", "del", name], check=False, stderr=subprocess.DEVNULL)


def begin(name: str, folder: str) -> subprocess.Popen[bytes]:
    command = ["torchrun", "--nnodes", "2", "--rdzv-endpoint", f"{ADDRESSES[0]}:29400", "train.py"]
    target = json.dumps({"num_nodes": 2, "folders": [folder], "command": command})
    words = [
        "ip",
        "netns",
        "exec",
        name,
        sys.executable,
        "-m",
        "probes.checking",
        "--target",
        target,
        *CHECKS,
    ]
    environ = {**os.environ, "SLURM_JOB_NODELIST": ",".join(ADDRESSES)}
    return subprocess.Popen(words, env=environ, stdout=subprocess.PIPE)


@pytest.mark.slow
@needs_root
@pytest.mark.parametrize(("mtu", "expected"), [("1500", "pass"), ("1400", "warn")])
def test_two_hosts_meet_and_tell_the_way_between_them(hosts, tmp_path, mtu, expected):
    ip("-n", hosts[1], "link", "set", "way", "mtu", mtu)
    both = [begin(name, str(tmp_path)) for name in hosts]
    told = [one.communicate(timeout=90)[0].splitlines() for one in both]
    second = {check.name: check for check in judge(of_lines(told[1], CHECKS), BOOK).checks}
    outcomes = {name: check.outcome for name, check in second.items()}
    assert outcomes == dict.fromkeys(CHECKS, "pass") | {"packet_size": expected}, outcomes
    assert {part.subject for part in second["hosts_reachable"].subjects} == set(ADDRESSES)
    assert list(tmp_path.iterdir()) == []


def test_a_host_that_fails_with_all_others_is_named():
    """Of four hosts the last was not there; the others told their pairs, one of them twice."""
    told = [
        [0, 1, 0.1, ""],
        [0, 2, None, "no end within 30 s"],
        [1, 2, None, "reset"],
        [1, 2, None, "no route"],
    ]
    found = host_pairs.said({"here": [0, 1, 2], "pairs": told}, ["a", "b", "c", "d"])
    assert {one.subject: one.skip or dict(one.values) for one in found} == {
        "a - b": {"refusal": "", "seconds": 0.1},
        "a - c": {"refusal": "no end within 30 s", "seconds": None},
        "b - c": {"refusal": "reset", "seconds": None},
        "c": {"is_suspect": True, "num_failed": 2, "num_tried": 2},
        "d": "it did not make this check: start it on all hosts at once",
    }
    busy = host_pairs.said({"here": [0, 2], "pairs": told[1:2]}, ["a", "b", "c"], "busy")
    assert all(one.skip for one in busy)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({}, "nobody says which hosts the job has"),
        ({"MASTER_ADDR": "192.0.2.1"}, "one host alone is told (where the ranks meet)"),
        (
            {"SLURM_JOB_NODELIST": "a.invalid,b.invalid"},
            "this host is none of those that are told (SLURM_JOB_NODELIST)",
        ),
    ],
)
def test_without_a_partner_no_pair_is_tried(given, why):
    assert [one.skip for one in host_pairs.measure(target(num_nodes=2, **given))] == [why]


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.ranks
def test_every_two_hosts_are_tried_and_the_odd_one_is_found():
    """Three hosts on the loopback: the last has no network for its ranks."""
    meeting = {"host": "127.0.0.1", "port": free_port(), "num": 3}
    base = meeting | {"device": "cpu", "begin_s": 60.0, "pair_s": 40.0}
    environ = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    three = [
        subprocess.Popen(
            [sys.executable, str(PAIRS), json.dumps({**base, "index": index})],
            env=environ | ({"GLOO_SOCKET_IFNAME": "none"} if index == 2 else {}),
            stdout=subprocess.PIPE,
        )
        for index in range(3)
    ]
    told = [json.loads(one.communicate(timeout=300)[0].splitlines()[-1]) for one in three]
    assert all(one["here"] == [0, 1, 2] for one in told)
    found = {one.subject: one for one in host_pairs.said(told[0], ["a", "b", "c"])}
    assert found["a - b"].values["refusal"] == "" and found["a - b"].values["seconds"] > 0
    assert found["a - c"].values["refusal"] and found["b - c"].values["refusal"]
    assert found["c"].values["is_suspect"] and not {"a", "b"} & found.keys()

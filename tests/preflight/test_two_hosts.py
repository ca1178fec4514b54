"""Two network namespaces are two hosts: what each measures of the other, with a way that is too narrow."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from diagnose.preflight.judging import judge
from diagnose.preflight.measured import of_lines
from tests.preflight.making import BOOK, needs_root

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

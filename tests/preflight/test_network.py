"""Networks: real sockets on this host, and recorded trees of RDMA devices."""

import contextlib
import errno
import hashlib
import os
import shutil
import socket
import subprocess
import threading
import time

import pytest

from probes.checking import hosts, meeting, rdma
from probes.checks import hosts_reachable, network_plugin, own_name, rdma_errors, rdma_write_speed
from tests.preflight.making import free_port, make, outcome, target


@pytest.mark.parametrize(
    ("expected", "given"),
    [
        ("fail", {"NCCL_SOCKET_IFNAME": "nosuch"}),
        ("fail", {"NCCL_SOCKET_IFNAME": "=l"}),
        ("fail", {"NCCL_SOCKET_IFNAME": "lo", "num_nodes": 2}),
        ("fail", {"GLOO_SOCKET_IFNAME": "l"}),
        ("pass", {"NCCL_SOCKET_IFNAME": "lo"}),
        ("pass", {"GLOO_SOCKET_IFNAME": "lo"}),
        ("pass", {}),
    ],
)
def test_the_interface_that_is_named_must_be_there_and_lead_out(expected, given):
    assert outcome("network_interfaces", target(**given)) == expected


@pytest.mark.parametrize(
    ("name", "num_nodes", "given", "expected"),
    [
        ("localhost", 1, {}, "pass"),
        ("localhost", 2, {}, "warn"),  # Debian's own /etc/hosts: NCCL does not ask for it
        ("localhost", 2, {"GLOO_SOCKET_IFNAME": "eth0"}, "pass"),
        ("a.invalid", 1, {}, "warn"),
        ("a.invalid", 2, {}, "warn"),
        ("localhost", 1, {"MASTER_ADDR": "localhost"}, "pass"),
        ("localhost", 2, {"MASTER_ADDR": "localhost"}, "fail"),
        ("localhost", 2, {"MASTER_ADDR": "a.invalid"}, "fail"),
    ],
)
def test_a_name_must_mean_what_others_reach(monkeypatch, name, num_nodes, given, expected):
    monkeypatch.setattr(own_name.socket, "gethostname", lambda: name)
    assert outcome("own_name", target(num_nodes=num_nodes, **given)) == expected


def test_a_name_that_nobody_looks_up_costs_a_deadline(monkeypatch):
    monkeypatch.setattr(own_name, "LIMIT_S", 0.2)
    monkeypatch.setattr(own_name, "look", lambda name: threading.Event().wait(60))
    assert "within 0.2 s" in str(make("own_name", target()).subjects[0].values["refusal"])


def test_hosts_outside_are_asked_where_the_environment_wants_them():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        assert outcome("egress", target(HF_ENDPOINT=url)) == "pass"
        through = target(HF_ENDPOINT="http://a.invalid", HTTP_PROXY=url)
        assert outcome("egress", through) == "pass" and make("egress", through).subjects[0].values["is_proxy"]
    assert outcome("egress", target(HF_ENDPOINT=url)) == "warn"
    assert outcome("egress", target(HF_ENDPOINT="http://[::1", WANDB_MODE="offline")) == "warn"
    assert outcome("egress", target(HF_HUB_OFFLINE=1, HF_HOME="/x")) == "skip"


def test_hosts_are_named_by_the_platform(tmp_path):
    assert hosts.of(target(SLURM_JOB_NODELIST="n[1-2]"))[0] == ["n1", "n2"]
    (tmp_path / "hosts").write_text("n1 slots=8\nn2 slots=8\n")
    assert hosts.of(target(PDSH_HOSTFILE=tmp_path / "hosts"))[0] == ["n1", "n2"]
    assert hosts.of(target()) == ([], "nobody says which hosts the job has")
    assert hosts.of(target(MASTER_ADDR="n1"))[0] == ["n1"]
    assert "get_cluster_info" in hosts.of(target(MODAL_TASK_ID="ta-1", python="/bin/false"))[1]
    assert len(hosts.expand("a[1-999999999]" * 50)) <= hosts.MOST
    assert hosts.expand("[" * 5000 + "," * 5000) == []


def test_addresses_of_the_job_s_hosts():
    on = {"num_nodes": 2}
    assert outcome("host_addresses", target(**on)) == "skip"
    assert outcome("host_addresses", target(SLURM_JOB_NODELIST="10.0.0.1,10.0.0.2", **on)) == "pass"
    for names in ("10.0.0.1,10.0.0.1", "10.0.0.1,127.0.0.1", "10.0.0.1,a.invalid"):
        assert outcome("host_addresses", target(SLURM_JOB_NODELIST=names, **on)) == "fail"
    assert outcome("host_addresses", target(SLURM_JOB_NODELIST="10.0.0.1,8.8.8.8", **on)) == "warn"
    assert outcome("host_addresses", target(SLURM_JOB_NODELIST="10.0.0.1,10.0.0.2", num_nodes=4)) == "fail"


def test_a_host_that_refuses_the_port_is_there_one_without_a_name_is_not(monkeypatch):
    on = target(SLURM_JOB_NODELIST="127.0.0.1", MASTER_PORT=free_port(), num_nodes=2)
    assert outcome("hosts_reachable", on) == "pass"
    assert outcome("hosts_reachable", target(SLURM_JOB_NODELIST="a.invalid", num_nodes=2)) == "fail"
    with socket.socket() as deaf:  # whoever fills its queue gets no answer
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        fill = [socket.socket() for _ in range(4)]
        for one in fill:
            one.setblocking(False)
            one.connect_ex(deaf.getsockname())
        monkeypatch.setattr(hosts_reachable, "CONNECT_S", 0.3)
        port = deaf.getsockname()[1]
        result = make(
            "hosts_reachable", target(SLURM_JOB_NODELIST="127.0.0.1", MASTER_PORT=port, num_nodes=2)
        )
        for one in fill:
            one.close()
    assert result.outcome == "fail" and "0.3 s" in str(result.subjects[0].values["answer"])


def test_a_host_to_which_there_is_no_way_is_not_reached():
    """The kernel says so at once, and the socket then has no error to tell."""
    ((ok, answer, _),) = hosts_reachable.reach(["255.255.255.255"], 22).values()
    assert not ok and answer == os.strerror(errno.ENETUNREACH)


@pytest.fixture(scope="module")
def ways(tmp_path_factory):
    """Two hosts that meet: both ends of the way, over loopback; and the folders of the first."""
    shared, port, found = tmp_path_factory.mktemp("shared"), free_port(), list[list[meeting.Way]]()
    first = threading.Thread(target=lambda: found.append(meeting.serve(port, 1, [str(shared)], 60.0)))
    first.start()
    for _ in range(50):  # one that only looks whether somebody listens is nobody
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            break
        time.sleep(0.02)
    folders = [str(shared), "/only/here"]
    theirs = meeting.visit("127.0.0.1", port, folders, 60.0)
    first.join()
    return found[0], theirs, shared


def test_hosts_that_meet_measure_the_way_between_them(ways):
    [ours], theirs, shared = ways
    assert ours.peer == "127.0.0.1" and ours.bits_per_s == theirs.bits_per_s > 1e6
    assert theirs.mtu == theirs.first_mtu == theirs.largest
    assert theirs.seen_after_s == {str(shared): pytest.approx(0, abs=3)}
    assert list(shared.iterdir()) == []


def test_what_was_measured_on_the_way_is_judged(ways, monkeypatch):
    _, theirs, shared = ways
    on = target(num_nodes=2, folders=(str(shared),))
    good = theirs._replace(mtu=1500, first_mtu=1500, largest=1500, bits_per_s=2e10)
    for way, expected in (
        (good, "pass"),
        (good._replace(largest=1400, bits_per_s=1e8, seen_after_s={str(shared): None}), "warn"),
    ):
        monkeypatch.setattr(meeting, "_held", [[way]])
        names = ("host_throughput", "packet_size", "folders_shared")
        outcomes = {name: {part.outcome for part in make(name, on).subjects} for name in names}
        assert all(expected in found for found in outcomes.values()), outcomes


def test_nobody_else_is_no_finding_but_the_reason_why_nothing_was_measured(monkeypatch):
    with pytest.raises(meeting.NoMeeting, match="no other host"):
        meeting.serve(free_port(), 1, [], wait_s=0.1)
    with pytest.raises(meeting.NoMeeting, match="nobody answers"):
        meeting.visit("127.0.0.1", free_port(), [], wait_s=0.1)
    monkeypatch.setattr(meeting, "_held", [])
    assert outcome("packet_size", target(num_nodes=2)) == "skip"
    assert meeting.is_own("127.0.0.1") and not meeting.is_own("192.0.2.1")


def test_whoever_answers_there_names_no_file_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(meeting, "FILES_S", 0.1)
    (tmp_path / "secret").write_text("x")
    (tmp_path / "job").mkdir()
    folder, digest = str(tmp_path / "job"), hashlib.sha256(b"x").hexdigest()
    assert meeting.look({folder: ("../secret", digest)}) == {folder: None}
    assert meeting.look({str(tmp_path): ("/job/secret", digest)})[str(tmp_path)] is not None


PORT = {
    "state": "4: ACTIVE",
    "phys_state": "5: LinkUp",
    "rate": "400 Gb/sec (4X NDR)",
    "link_layer": "InfiniBand",
}
COUNTS = {"counters/link_downed": "0", "counters/symbol_error": "0", "counters/link_error_recovery": "0"}
GIDS = {"gids/0": "fe80::1", "gids/3": "0000:0000:0000:0000:0000:ffff:0a00:0001"}
KINDS = {"gid_attrs/types/0": "IB/RoCE v1", "gid_attrs/types/3": "RoCE v2"}


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Two RDMA devices, as sysfs shows them."""
    monkeypatch.setattr(rdma, "TOP", str(tmp_path))
    for device in ("mlx5_0", "mlx5_1"):
        change(tmp_path, device, **PORT, **COUNTS, **GIDS, **KINDS)
    return tmp_path


def change(top, device, **files):
    for name, text in files.items():
        path = top / device / "ports/1" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")


@pytest.mark.parametrize(
    ("files", "environ", "expected"),
    [
        ({}, {}, "pass"),
        ({"state": "1: DOWN", "phys_state": "2: Polling"}, {}, "fail"),
        ({"state": "1: DOWN"}, {"NCCL_IB_HCA": "mlx5_0"}, "pass"),
        ({"state": "1: DOWN"}, {"NCCL_IB_HCA": "^=mlx5_1:1"}, "pass"),
        ({"rate": "200 Gb/sec (4X HDR)"}, {"gpu": "H100"}, "fail"),
        ({"rate": "200 Gb/sec (4X HDR)"}, {"gpu": "A100"}, "warn"),
    ],
)
def test_ports_that_nccl_will_use_are_up_and_fast(tree, files, environ, expected):
    change(tree, "mlx5_1", **files)
    assert outcome("rdma_ports", target(num_nodes=2, **environ)) == expected


def test_errors_that_rise_count_more_than_old_ones(tree, monkeypatch):
    monkeypatch.setattr(rdma_errors.time, "sleep", lambda s: None)
    assert outcome("rdma_errors") == "pass"
    change(tree, "mlx5_1", **{"counters/link_downed": "50"})
    assert outcome("rdma_errors") == "warn"
    monkeypatch.setattr(
        rdma_errors.time, "sleep", lambda s: change(tree, "mlx5_0", **{"counters/symbol_error": "9"})
    )
    assert outcome("rdma_errors") == "fail"


@pytest.mark.parametrize(("index", "expected"), [("3", "pass"), ("0", "warn"), ("7", "fail"), ("", "pass")])
def test_the_address_of_a_roce_port(tree, index, expected):
    for device in ("mlx5_0", "mlx5_1"):
        change(tree, device, link_layer="Ethernet")
    assert outcome("roce_addresses", target(num_nodes=2, NCCL_IB_GID_INDEX=index)) == expected


@pytest.mark.parametrize(("speed", "expected"), [("392.60", "pass"), ("180.00", "warn"), ("", "skip")])
def test_perftest_s_own_words_are_read(tree, tmp_path, monkeypatch, speed, expected):
    monkeypatch.setattr(rdma_write_speed, "START_S", 0.05)
    program = tmp_path / "bin/ib_write_bw"
    program.parent.mkdir()
    row = f"echo ' 65536      22465            0.00               {speed}              0.748826'"
    program.write_text(f'#!/bin/sh\n[ "$#" -gt 10 ] || exec sleep 9\n{row if speed else "exit 1"}\n')
    program.chmod(0o755)
    on = target(NCCL_IB_HCA="=mlx5_0")
    assert outcome("rdma_write_speed", on) == "skip"
    on.environ["PATH"] = f"{program.parent}:{on.environ['PATH']}"
    assert outcome("rdma_write_speed", on) == expected


def test_a_plugin_must_load_and_be_one(tmp_path, monkeypatch):
    assert outcome("network_plugin") == "skip"
    assert outcome("network_plugin", target(NCCL_NET_PLUGIN="nosuch")) == "warn"
    assert shutil.which("gcc")
    (tmp_path / "p.c").write_text("int NAME = 1;")
    for name, symbol in (("libnccl-net-good.so", "ncclNetPlugin_v8"), ("libnccl-net-bad.so", "other")):
        words = [
            "gcc",
            "-shared",
            "-fPIC",
            f"-DNAME={symbol}",
            "-o",
            str(tmp_path / name),
            str(tmp_path / "p.c"),
        ]
        subprocess.run(words, check=True)
    (tmp_path / "libnccl-net-torn.so").write_bytes(b"\x7fELF")
    outcomes = {
        name: outcome("network_plugin", target(NCCL_NET_PLUGIN=name, LD_LIBRARY_PATH=tmp_path))
        for name in ("good", "bad", "torn")
    }
    assert outcomes == {"good": "pass", "bad": "fail", "torn": "fail"}
    monkeypatch.setattr(network_plugin, "BESIDE", ())
    monkeypatch.setattr(rdma, "TOP", str(tmp_path))
    (tmp_path / "efa").mkdir()
    (tmp_path / "rdmap0/device").mkdir(parents=True)
    (tmp_path / "rdmap0/device/driver").symlink_to(tmp_path / "efa")
    assert "EFA" in make("network_plugin", target()).reason

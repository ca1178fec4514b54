"""What a process's connections tell of the link below them: real sockets between two network namespaces."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from diagnose.needs import missing, path
from probes.connections import Tables

ENV = {**os.environ, "PATH": path()}
PEER = """
import socket, sys, time
if sys.argv[1] == "serve":
    server = socket.create_server(("10.78.0.1", 4711))
    print("ready", flush=True)
    one, _ = server.accept()
else:
    one = socket.create_connection(("10.78.0.1", 4711), 10)
print("connected", flush=True)
sys.stdin.readline()
one.send(b"x" * 100)
time.sleep(60)
"""


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, env=ENV)


@pytest.fixture
def hosts() -> Iterator[list[str]]:
    if reason := missing("netns"):
        pytest.skip(reason)
    names = [f"dgd-{os.getpid()}-t{num}" for num in range(2)]
    try:
        for name in names:
            ip("netns", "add", name)
        ip(
            "link",
            "add",
            "eth0",
            "netns",
            names[0],
            "type",
            "veth",
            "peer",
            "name",
            "eth0",
            "netns",
            names[1],
        )
        for num, name in enumerate(names, 1):
            ip("-n", name, "address", "add", f"10.78.0.{num}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], env=ENV)


def start(name: str, what: str) -> subprocess.Popen[bytes]:
    command = ["ip", "netns", "exec", name, sys.executable, "-c", PEER, what]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, env=ENV, stdin=pipe, stdout=pipe)
    assert process.stdout and process.stdout.readline()
    return process


def send(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin
    process.stdin.write(b"\n")
    process.stdin.flush()


def until_tried(pid: int, tries: int) -> dict[str, object]:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        told = Tables().own(pid)
        assert told is not None
        rows = told["unanswered"]
        assert isinstance(rows, list)
        if rows and rows[0]["attempts"] >= tries:
            return told
        time.sleep(0.1)
    raise AssertionError(f"never tried {tries} times: {told}")


def test_a_lost_link_shows_at_both_ends_and_a_stopped_peer_at_none(hosts: list[str]) -> None:
    server = start(hosts[0], "serve")
    client = start(hosts[1], "connect")
    try:
        assert server.stdout and server.stdout.readline() == b"connected\n"
        client.send_signal(19)  # SIGSTOP
        send(server)
        time.sleep(1.0)
        told = Tables().own(server.pid)
        assert told and told["unanswered"] == [] and told["unrouted"] == []
        assert (told["addresses"], told["peers"]) == (["10.78.0.1"], ["10.78.0.2"])
        ip("-n", hosts[1], "link", "set", "eth0", "down")
        client.send_signal(18)
        send(client)
        here = until_tried(client.pid, 1)
        assert here["unrouted"] == ["10.78.0.1"]
    finally:
        for process in (server, client):
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    pipe.close()


def test_what_is_sent_into_a_lost_link_is_tried_again_and_again(hosts: list[str]) -> None:
    server = start(hosts[0], "serve")
    client = start(hosts[1], "connect")
    try:
        assert server.stdout and server.stdout.readline() == b"connected\n"
        ip("-n", hosts[1], "link", "set", "eth0", "down")
        send(server)
        told = until_tried(server.pid, 3)
        assert told["unrouted"] == [], "its own side is up"
    finally:
        for process in (server, client):
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    pipe.close()


def test_a_process_that_may_not_be_seen_says_nothing() -> None:
    assert Tables().own(1 << 30) is None


def test_the_tables_of_a_namespace_are_read_once_for_all_processes_in_it() -> None:
    tables = Tables()
    with subprocess.Popen(["sleep", "60"]) as child:
        try:
            assert tables.of(child.pid) is tables.of(os.getpid())
        finally:
            child.kill()

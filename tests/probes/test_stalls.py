"""What counts as progress while a job is silent: two sockets that answer with given dumps."""

import json
import socketserver
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from probes.watching import stalls
from probes.watching.rank import Rank
from probes.watching.stalls import Stalls


def dump(*retired: bool) -> dict[str, Any]:
    entries = [
        {
            "pg_id": 0,
            "process_group": ["0", "default_pg"],
            "collective_seq_id": num + 1,
            "retired": is_retired,
            "time_created_ns": int((time.time() - 60) * 1e9),
        }
        for num, is_retired in enumerate(retired)
    ]
    return {"pg_config": {}, "entries": entries}


class Watched:
    """Two ranks whose dumps are given, and what is said of them."""

    def __init__(self, folder: Path) -> None:
        self.dumps = {0: dump(True, False), 1: dump(True, False)}
        self.said: list[str] = []
        self.now = time.monotonic()
        self.servers = [self.serve(str(folder / f"r{rank}"), rank) for rank in (0, 1)]
        self.ranks = [
            Rank(r, "1", 10 + r, 0, "hook", r, 2, socket=str(folder / f"r{r}"), found=time.monotonic() - 50)
            for r in (0, 1)
        ]
        self.stalls = Stalls("1", 5.0, 5.0, lambda attempt, rank, kind, **data: self.said.append(kind))
        self.stalls.follow(self.ranks)

    def serve(self, path: str, rank: int) -> socketserver.UnixStreamServer:
        watched = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                while self.rfile.readline().strip():
                    pass
                body = json.dumps(watched.dumps[rank]).encode()
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

        server = socketserver.UnixStreamServer(path, Handler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return server

    def watch(self, later_s: float = 20.0) -> None:
        self.now += later_s
        self.stalls.watch(self.ranks, self.now)


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    monkeypatch.setattr(stalls, "_QUERY_S", 60.0)
    one = Watched(tmp_path)
    one.watch()
    one.watch()
    assert one.said == ["job.stalled"]
    yield one
    for server in one.servers:
        server.shutdown()
        server.server_close()


def test_a_collective_that_ended_is_a_move_once_its_rank_has_not_raised(watched: Watched) -> None:
    watched.dumps[0] = dump(True, True)
    watched.watch()
    assert watched.said == ["job.stalled"]
    watched.watch(1.5)
    assert watched.said == ["job.stalled", "job.progressed"]


def test_a_collective_that_ended_because_it_failed_is_none(watched: Watched) -> None:
    watched.dumps[0] = dump(True, True)
    watched.watch()
    watched.ranks[0].is_ending = True  # its hook has told by now
    watched.watch(1.5)
    watched.watch(1.5)
    assert "job.progressed" not in watched.said


def test_a_collective_that_was_launched_is_a_move_at_once(watched: Watched) -> None:
    fresh = dump(True, True, False)
    fresh["entries"][-1]["time_created_ns"] = int(time.time() * 1e9)
    watched.dumps[0] = fresh
    watched.watch()
    assert watched.said == ["job.stalled", "job.progressed"]

"""Modal's control plane on loopback, for its real client and its real container runtime.

    python -m tests.modal.plane --dir D [--port 0]

prints one JSON object when it serves: {"server": for MODAL_SERVER_URL, "control": the tests' own endpoint}.
It is no emulation of a cloud: it answers what launching, collecting and a container's runtime ask, and
refuses the rest; which RPCs were served can be asked of it, so that a newer client shows where it differs.
"""

import argparse
import asyncio
import json
import signal
import socket
from pathlib import Path

import grpclib.server
from aiohttp import web
from modal_proto import api_grpc

from tests.modal import container
from tests.modal.plane.collect import Collect
from tests.modal.plane.control import Control
from tests.modal.plane.execs import Access, Router
from tests.modal.plane.inside import Inside
from tests.modal.plane.launch import Launch
from tests.modal.plane.rpc import filled
from tests.modal.plane.state import State


class Plane(Launch, Collect, Inside, Access, api_grpc.ModalClientBase):
    def __init__(self, state: State, task: str = "") -> None:
        self.state, self.task = state, task


filled(Plane)


async def inside(state: State, path: str, task: str = "") -> None:
    """Serve containers, or one of a cluster."""
    await grpclib.server.Server([Plane(state, task)]).start(path=path)


async def serve(folder: Path, port: int) -> None:
    """Serve until SIGTERM, or until nobody holds the other end of standard input."""
    state = State(folder)
    control = Control(state, lambda path, task: inside(state, path, task))
    app = web.Application(client_max_size=1 << 30)
    app.add_routes(control.routes())
    runner = web.AppRunner(app)
    await runner.setup()
    http = socket.create_server(("127.0.0.1", 0))
    grpc = socket.create_server(("127.0.0.1", port))
    await web.SockSite(runner, http).start()
    state.http = f"http://127.0.0.1:{http.getsockname()[1]}"
    await grpclib.server.Server([Plane(state), filled(Router)(state)]).start(sock=grpc)
    await inside(state, state.socket)
    state.server = f"http://127.0.0.1:{grpc.getsockname()[1]}"
    print(json.dumps({"server": state.server, "control": state.http}), flush=True)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()
    for task in control.containers:
        container.end(folder / task)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.modal.plane", description=__doc__)
    parser.add_argument("--dir", required=True, type=Path, help="where blocks and containers are kept")
    parser.add_argument("--port", type=int, default=0)
    given = parser.parse_args()
    asyncio.run(serve(given.dir, given.port))

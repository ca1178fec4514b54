"""What `modal container exec` calls: the way to a container's host, and there a command with its streams.

A container that may be entered is a command's prefix (`nsenter ...`, or none) and an environment: what is
run in it are real processes of this machine.
"""

import asyncio
import os
import signal
from contextlib import suppress
from dataclasses import dataclass, field

from grpclib import GRPCError, Status
from modal_proto import api_pb2 as pb
from modal_proto import task_command_router_grpc as router_grpc
from modal_proto import task_command_router_pb2 as rpb

from tests.modal.plane.rpc import Part, unary
from tests.modal.plane.state import State

PART = 64 << 10


@dataclass
class Box:
    """One container: how it is entered, and what goes wrong with it."""

    prefix: list[str]
    env: dict[str, str]
    refuses: str = ""  # why nothing may be run in it
    dies_after: int = -1  # bytes of input, after which the container is gone
    is_gone: bool = False
    execs: dict[str, "Exec"] = field(default_factory=dict)


@dataclass
class Exec:
    process: asyncio.subprocess.Process
    num_in: int = 0
    out: dict[int, bytearray] = field(default_factory=dict)
    ended: dict[int, bool] = field(default_factory=dict)
    drains: list[asyncio.Task[None]] = field(default_factory=list)  # the loop alone would not keep them


class Access(Part):
    @unary
    async def TaskGetCommandRouterAccess(self, r):
        box(self.state, r.task_id)
        return pb.TaskGetCommandRouterAccessResponse(url=self.state.server, jwt="jwt")


class Router(Part, router_grpc.TaskCommandRouterBase):
    """The service on a container's host."""

    def __init__(self, state: State) -> None:
        self.state = state

    @unary
    async def TaskExecStart(self, r):
        found = box(self.state, r.task_id)
        if found.refuses:
            raise GRPCError(Status.PERMISSION_DENIED, found.refuses)
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *found.prefix,
            *r.command_args,
            env=found.env,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            start_new_session=True,
        )
        made = found.execs[r.exec_id] = Exec(process, 0, {1: bytearray(), 2: bytearray()}, {})
        for number, stream in ((1, process.stdout), (2, process.stderr)):
            made.drains.append(asyncio.create_task(drain(made, number, stream)))
            made.ended[number] = False
        asyncio.get_running_loop().call_later(r.timeout_secs or 3600, kill, process)
        return rpb.TaskExecStartResponse()

    @unary
    async def TaskExecStdinWrite(self, r):
        found = one(self.state, r)
        assert r.offset == found.num_in, "input came out of its order"
        assert found.process.stdin
        if found.process.returncode is not None:
            raise GRPCError(Status.FAILED_PRECONDITION, "process has exited")
        with suppress(ConnectionError):
            found.process.stdin.write(r.data)
            await found.process.stdin.drain()
            if r.eof:
                found.process.stdin.close()
        found.num_in += len(r.data)
        holder = box(self.state, r.task_id)
        if 0 <= holder.dies_after <= found.num_in:
            holder.is_gone = True
            kill(found.process)
        return rpb.TaskExecStdinWriteResponse()

    async def TaskExecStdioRead(self, stream):
        r = await stream.recv_message()
        number, at = (1 if r.file_descriptor == rpb.TASK_EXEC_STDIO_FILE_DESCRIPTOR_STDOUT else 2), r.offset
        while True:
            found = one(self.state, r)
            part = bytes(found.out[number][at : at + PART])
            if part:
                at += len(part)
                await stream.send_message(rpb.TaskExecStdioReadResponse(data=part))
            elif found.ended[number]:
                return
            else:
                await asyncio.sleep(0.02)

    @unary
    async def TaskExecWait(self, r):
        code = await one(self.state, r).process.wait()
        return rpb.TaskExecWaitResponse(**({"signal": -code} if code < 0 else {"code": code}))


async def drain(made: Exec, number: int, stream: asyncio.StreamReader | None) -> None:
    assert stream
    while part := await stream.read(PART):
        made.out[number] += part
    made.ended[number] = True


def box(state: State, task: str) -> Box:
    found = state.boxes.get(task)
    if found is None or found.is_gone:
        raise GRPCError(Status.NOT_FOUND, f"Task {task} is not running")
    return found


def one(state: State, r) -> Exec:
    return box(state, r.task_id).execs[r.exec_id]


def kill(process: asyncio.subprocess.Process) -> None:
    with suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)

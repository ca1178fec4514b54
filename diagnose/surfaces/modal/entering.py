"""Runs a command in a container on Modal, its standard input given, as `modal container exec` does.

That command feeds no input and hides the exit code, so the client's own parts are called: the one place that
does, since they are private to its release. Raises Unreachable where the container cannot be entered.
"""

import asyncio
import re
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from modal._utils.async_utils import synchronizer
from modal.client import _Client
from modal.exception import ExecTimeoutError, NotFoundError
from modal.sandbox import _impl_v1, _impl_v2
from modal.sandbox._task_command_router_client import TaskCommandRouterClient, _is_v2_task_id
from modal_proto import api_pb2
from modal_proto import task_command_router_pb2 as router_pb2

from diagnose.surfaces.modal.outcome import Unreachable, one_line

CONTAINER = re.compile(r"ta-[A-Za-z0-9][A-Za-z0-9_-]{0,80}")
CONNECT_S, END_S = 60.0, 5.0
CHUNK = 256 << 10  # as the client itself cuts what it streams
MAX_OUT, MAX_ERRORS = 300 << 20, 1 << 20


class Done(NamedTuple):
    """How a command in a container ended: its code (128+N: signal N), what it printed, its errors."""

    code: int
    out: bytes
    errors: str


def run(container: str, words: Sequence[str], given: bytes, limit_s: float) -> Done:
    """Run `words` there with `given` as standard input. Raises Unreachable."""
    if not CONTAINER.fullmatch(container):
        raise Unreachable(f"{container!a}: no container's id (ta-...); `modal container list` shows them")
    try:
        done: Done = _blocking(container, list(words), given, limit_s)
        return done
    except Unreachable:
        raise
    except NotFoundError as error:
        raise Unreachable(f"no container {container} is running: {one_line(error)}") from error
    except Exception as error:
        raise Unreachable(f"the exec into {container} was refused: {one_line(error)}") from error


async def _run(container: str, words: list[str], given: bytes, limit_s: float) -> Done:
    client = await _Client.from_env()
    if _is_v2_task_id(container):
        access = _impl_v2.command_router_access_fetcher(client, task_id=container)
    else:
        access = _impl_v1.command_router_access_fetcher(client, container)
    try:
        router = await asyncio.wait_for(TaskCommandRouterClient.connect(client, container, access), CONNECT_S)
    except TimeoutError:
        raise Unreachable(f"the host of {container} does not answer") from None
    try:
        exec_id, deadline = str(uuid.uuid4()), time.monotonic() + limit_s
        asked = router_pb2.TaskExecStartRequest(
            task_id=container,
            exec_id=exec_id,
            command_args=words,
            stdout_config=router_pb2.TaskExecStdoutConfig.TASK_EXEC_STDOUT_CONFIG_PIPE,
            stderr_config=router_pb2.TaskExecStderrConfig.TASK_EXEC_STDERR_CONFIG_PIPE,
            timeout_secs=int(limit_s + END_S),
        )
        await router.exec_start(asked)
        try:
            return await _follow(router, container, exec_id, given, deadline)
        except Unreachable:
            raise
        except ExecTimeoutError as error:
            raise Unreachable(f"container {container} gave no answer within {limit_s:.0f} s") from error
        except Exception as error:
            raise Unreachable(f"container {container} went away: {one_line(error)}") from error
    finally:
        await router.close()


async def _follow(router: Any, container: str, exec_id: str, given: bytes, deadline: float) -> Done:
    """Feed it and hear it to its end."""

    async def read(number: Any, most: int) -> bytes:
        data = bytearray()
        async for part in router.exec_stdio_read(container, exec_id, number, deadline):
            data += part.data
            if len(data) > most:
                raise Unreachable(f"{container} sent more than {most >> 20} MiB: that is no evidence of ours")
        return bytes(data)

    async def feed() -> None:
        for at in range(0, max(1, len(given)), CHUNK):
            part = given[at : at + CHUNK]
            await router.exec_stdin_write(container, exec_id, at, part, at + len(part) >= len(given))

    feeding: asyncio.Future[Any] = asyncio.ensure_future(feed())
    reading: asyncio.Future[Any] = asyncio.gather(
        read(api_pb2.FILE_DESCRIPTOR_STDOUT, MAX_OUT), read(api_pb2.FILE_DESCRIPTOR_STDERR, MAX_ERRORS)
    )
    try:
        await asyncio.wait([feeding, reading], return_when=asyncio.FIRST_COMPLETED)
        if not reading.done() and feeding.exception():  # it takes no more: its end, if it comes, says why
            await asyncio.wait([reading], timeout=END_S)
            if not reading.done():
                feeding.result()
        out, errors = await reading
        ended = await router.exec_wait(container, exec_id, deadline)
        code = int(ended.code) if ended.WhichOneof("exit_status") == "code" else 128 + int(ended.signal)
        return Done(code, out, errors.decode(errors="replace"))
    finally:
        for task in (feeding, reading):
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task


_blocking: Any = synchronizer.create_blocking(_run, "_blocking", __name__)

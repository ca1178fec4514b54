"""The plane's own endpoint, for tests: blocks over HTTP, and one verb a path that plays the platform."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from modal_proto import api_pb2 as pb

from tests.modal import container
from tests.modal.plane.execs import Box
from tests.modal.plane.inside import arguments
from tests.modal.plane.state import Call, Cluster, State

SOURCES = {"stdout": pb.FILE_DESCRIPTOR_STDOUT, "stderr": pb.FILE_DESCRIPTOR_STDERR}


class Control:
    """Plays the platform: starts containers, ends calls, forgets results, invents log lines, goes away."""

    def __init__(self, state: State, inside: Callable[[str, str], Awaitable[None]]) -> None:
        self.state, self.inside = state, inside
        self.containers: dict[str, asyncio.subprocess.Process] = {}

    def routes(self) -> list[web.RouteDef]:
        verbs: list[Callable[[Any], Awaitable[Any]]] = [
            *(
                self.start,
                self.box,
                self.gather,
                self.kill,
                self.finish,
                self.reopen,
                self.expire,
                self.log,
                self.offline,
                self.hold,
                self.wait,
                self.tell,
            )
        ]
        blocks = [web.put("/blocks/{digest}", self.put), web.get("/blocks/{digest}", self.get)]
        return [*blocks, *(web.post(f"/{verb.__name__}", answered(verb)) for verb in verbs)]

    async def put(self, request: web.Request) -> web.Response:
        if self.state.is_offline:
            return web.Response(status=503)
        digest = request.match_info["digest"]
        if not self.state.keep(digest, await request.read()):
            return web.Response(status=400, text="the block is not what its name says")
        return web.Response(text=digest)

    async def get(self, request: web.Request) -> web.StreamResponse:
        if self.state.is_offline:
            return web.Response(status=503)
        return web.Response(body=self.state.block(request.match_info["digest"]).read_bytes())

    def _call(self, given: dict[str, Any]) -> Call:
        calls = self.state.calls
        return calls[given["call"]] if given.get("call") else list(calls.values())[-1]

    async def start(self, given: dict[str, Any]) -> dict[str, Any]:
        """A container for a call, `env` in its environment: {"task", "pid"}."""
        call, task = self._call(given), self.state.id("ta")
        call.is_waiting, call.task = True, task
        data = arguments(self.state, call, task)
        folder = self.state.folder / task
        process = await container.start(data, task, folder, self.state.socket, given.get("env", {}))
        self.containers[task] = process
        return {"task": task, "pid": process.pid, "folder": str(folder)}

    async def box(self, given: dict[str, Any]) -> dict[str, Any]:
        """A container that may be entered by exec, whose processes the test starts itself: {"task"}."""
        task = given.pop("task", None) or self.state.id("ta")
        self.state.boxes[task] = Box(**{"prefix": [], "env": {}, **given})
        return {"task": task}

    async def gather(self, given: dict[str, Any]) -> list[dict[str, Any]]:
        """Containers for a call of a clustered function, as many as it asked for: as of `start`."""
        call = self._call(given)
        size = self.state.functions[call.function].definition._experimental_group_size
        tasks = [self.state.id("ta") for _ in range(size)]
        call.task, call.cluster = tasks[0], Cluster(self.state.id("cu"), tasks, set(tasks))
        told = []
        for number, (task, address) in enumerate(zip(tasks, call.cluster.addresses(), strict=True)):
            data, folder = arguments(self.state, call, task), self.state.folder / task
            socket = str(self.state.folder / f"{call.cluster.id[-4:]}-{number}.sock")
            await self.inside(socket, task)
            env = {**given.get("env", {}), "ADDRESS": address}
            process = await container.start(data, task, folder, socket, env, module="tests.modal.node")
            self.containers[task] = process
            told.append({"task": task, "pid": process.pid, "folder": str(folder)})
        return told

    async def kill(self, given: dict[str, Any]) -> dict[str, Any]:
        """End a container with all that is in it."""
        return {"pids": container.end(self.state.folder / given["task"])}

    async def wait(self, given: dict[str, Any]) -> dict[str, Any]:
        """The exit code of a container, once it has ended; None after `seconds`."""
        try:
            code: int | None = await asyncio.wait_for(
                self.containers[given["task"]].wait(), given.get("seconds", 60)
            )
        except TimeoutError:
            code = None
        return {"code": code}

    async def finish(self, given: dict[str, Any]) -> None:
        """Give a call a status, a text, and perhaps pickled data (hex)."""
        data = bytes.fromhex(given["data"]) if "data" in given else None
        self.state.finish(self._call(given), given["status"], given.get("text", ""), data)

    async def reopen(self, given: dict[str, Any]) -> None:
        """Take a call's outcome back."""
        call = self._call(given)
        call.output, call.is_expired = None, False

    async def expire(self, given: dict[str, Any]) -> None:
        """Forget a call's result."""
        self._call(given).is_expired = True

    async def log(self, given: dict[str, Any]) -> None:
        """Invent a line of the log."""
        call = self._call(given)
        source = SOURCES.get(given.get("source", ""), pb.FILE_DESCRIPTOR_INFO)
        self.state.say(given["text"], call.id, call.task, source)

    async def offline(self, given: dict[str, Any]) -> None:
        """Answer nobody, until told otherwise."""
        self.state.is_offline = bool(given["on"])

    async def hold(self, given: dict[str, Any]) -> None:
        """Keep a launcher waiting for so long, once its call is made."""
        self.state.hold_s = given["seconds"]

    async def tell(self, given: dict[str, Any]) -> dict[str, Any]:
        """What the plane holds."""
        state = self.state
        names = {volume.id: volume.name for volume in state.volumes.values()}
        return {
            "served": state.served,
            "refused": state.refused,
            "apps": {app.id: {"state": app.state, "name": app.description} for app in state.apps.values()},
            "calls": {
                call.id: {
                    "task": call.task,
                    "input": call.input_id,
                    "status": call.output.result.status if call.output else 0,
                    "others": {task: result.status for task, result in call.others.items()},
                }
                for call in state.calls.values()
            },
            "functions": {
                one.id: definition(one.definition, names) | {"app": one.app}
                for one in state.functions.values()
            },
            "images": {
                id: {"commands": one.commands, "files": one.files} for id, one in state.images.items()
            },
            "volumes": {
                volume.name: {path: file.size for path, file in sorted(volume.files.items())}
                for volume in state.volumes.values()
            },
            "times": {
                volume.name: {path: file.mtime for path, file in volume.files.items()}
                for volume in state.volumes.values()
            },
        }


def definition(made: pb.Function, names: dict[str, str]) -> dict[str, Any]:
    """What was asked of the platform for a function; `names` of volumes by their ids."""
    resources = made.resources
    return {
        "module": made.module_name,
        "name": made.function_name,
        "gpu": f"{resources.gpu_config.gpu_type}:{resources.gpu_config.count}",
        "memory": [resources.memory_mb, resources.memory_mb_max],
        "timeout": made.timeout_secs,
        "startup_timeout": made.startup_timeout_secs,
        "mounts": {one.mount_path: [names.get(one.volume_id), one.read_only] for one in made.volume_mounts},
        "single_use": made.single_use_containers,
        "retries": made.retry_policy.retries,
        "regions": list(made.scheduler_placement.regions),
        "num_secrets": len(made.secret_ids),
        "image": made.image_id,
        "nodes": made._experimental_group_size,
        "rdma": resources.rdma,
        "cloud": made.cloud_provider_str,
        "options": dict(made.experimental_options),
    }


def answered(verb: Callable[[Any], Awaitable[Any]]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handler(request: web.Request) -> web.Response:
        return web.json_response(await verb(json.loads(await request.read() or b"{}")))

    return handler

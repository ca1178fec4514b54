"""How an RPC of the plane is written: a coroutine from request to answer; the others are UNIMPLEMENTED."""

from collections.abc import Awaitable, Callable
from typing import Any

from grpclib import GRPCError, Status

from tests.modal.plane.state import State


class Part:
    """A part of the service. Every call is counted by its name; while the plane is offline each fails."""

    state: State
    task: str  # the container that speaks, where it is one of a cluster


def note(part: Part, name: str) -> None:
    part.state.served[name] = part.state.served.get(name, 0) + 1
    if part.state.is_offline:
        raise GRPCError(Status.UNAVAILABLE, "the plane is offline")


def unary(handler: Callable[[Any, Any], Awaitable[Any]]) -> Callable[[Any, Any], Awaitable[None]]:
    """One request, one answer."""

    async def method(self: Part, stream: Any) -> None:
        request = await stream.recv_message()
        note(self, handler.__name__)
        await stream.send_message(await handler(self, request))

    return method


def listing(handler: Callable[[Any, Any], Awaitable[list[Any]]]) -> Callable[[Any, Any], Awaitable[None]]:
    """One request, a stream of answers."""

    async def method(self: Part, stream: Any) -> None:
        request = await stream.recv_message()
        note(self, handler.__name__)
        for answer in await handler(self, request):
            await stream.send_message(answer)

    return method


def filled(cls: type[Any]) -> type[Any]:
    """The service with all that is missing in it refused, and written down."""

    def missing(name: str) -> Callable[[Any, Any], Awaitable[None]]:
        async def method(self: Part, stream: Any) -> None:
            await stream.recv_message()
            self.state.refused[name] = self.state.refused.get(name, 0) + 1
            raise GRPCError(Status.UNIMPLEMENTED, f"the plane has no {name}")

        return method

    for name in cls.__abstractmethods__:
        setattr(cls, name, missing(name))
    cls.__abstractmethods__ = frozenset()
    return cls

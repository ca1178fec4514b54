"""What the plane holds: apps, functions, calls and volumes in memory, blocks and containers in a folder."""

import hashlib
import itertools
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from grpclib import GRPCError, Status
from modal_proto import api_pb2 as pb

BLOCK = 8 << 20


@dataclass
class Stored:
    """One file of a volume: its blocks by their SHA-256."""

    size: int
    blocks: list[str]
    mtime: float


@dataclass
class Volume:
    id: str
    name: str
    files: dict[str, Stored] = field(default_factory=dict)


@dataclass
class Image:
    """How it is built, from its first base on, and the files of the contexts: path -> SHA-256."""

    commands: list[str]
    files: dict[str, str]


@dataclass
class App:
    id: str
    description: str
    state: int
    functions: dict[str, str] = field(default_factory=dict)  # name -> id, as published


@dataclass
class Function:
    id: str
    app: str
    definition: pb.Function
    handle: pb.FunctionHandleMetadata


@dataclass
class Cluster:
    """Containers that are started together; the first one's output is the call's."""

    id: str
    tasks: list[str]
    waiting: set[str]  # who has not fetched the input yet

    def addresses(self) -> list[str]:
        """All of them share this machine: only the first one's can be reached."""
        return ["::1", *(f"fdaa::{index}" for index in range(1, len(self.tasks)))]


@dataclass
class Call:
    id: str
    function: str
    input_id: str
    given: pb.FunctionPutInputsItem
    is_waiting: bool = True  # for a container that fetches it
    is_cancelled: bool = False
    is_expired: bool = False
    task: str = ""  # the container that fetched it last
    cluster: Cluster | None = None
    others: dict[str, pb.GenericResult] = field(default_factory=dict)  # what other nodes put, and nobody gets
    output: pb.FunctionGetOutputsItem | None = None


class State:
    """All of it. Ids count up, so that later ones sort behind earlier ones."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.http, self.socket = folder, "", str(folder / "plane.sock")
        self.server = ""
        self.boxes: dict[str, Any] = {}  # containers that may be entered, by task
        self.apps: dict[str, App] = {}
        self.functions: dict[str, Function] = {}
        self.calls: dict[str, Call] = {}
        self.volumes: dict[str, Volume] = {}  # by name
        self.logs: list[pb.TaskLogs] = []
        self.served: dict[str, int] = {}
        self.refused: dict[str, int] = {}
        self.is_offline, self.hold_s = False, 0.0
        self.mounted: set[str] = set()
        self.mounts: dict[str, dict[str, str]] = {}  # id -> path -> SHA-256
        self.images: dict[str, Image] = {}
        self.numbers = itertools.count(1)
        (folder / "blocks").mkdir(parents=True, exist_ok=True)

    def id(self, kind: str) -> str:
        return f"{kind}-{next(self.numbers):022d}"

    def call(self, name: str) -> Call:
        if name not in self.calls:
            raise GRPCError(Status.NOT_FOUND, f"no function call {name}")
        return self.calls[name]

    def volume(self, id: str) -> Volume:
        found = next((volume for volume in self.volumes.values() if volume.id == id), None)
        if found is None:
            raise GRPCError(Status.NOT_FOUND, f"no volume {id}")
        return found

    def block(self, digest: str) -> Path:
        return self.folder / "blocks" / digest

    def keep(self, digest: str, data: bytes) -> bool:
        """Store a block; False where the data are not what their name says."""
        if hashlib.sha256(data).hexdigest() != digest:
            return False
        self.block(digest).write_bytes(data)
        return True

    def say(self, text: str, call: str = "", task: str = "", source: int = pb.FILE_DESCRIPTOR_INFO) -> None:
        """One more line in the app's log."""
        now = time.time_ns()
        self.logs.append(
            pb.TaskLogs(
                data=text,
                timestamp=now / 1e9,
                timestamp_ns=now,
                file_descriptor=source,  # type: ignore[arg-type]
                function_call_id=call,
                container_id=task,
            )
        )

    def finish(self, call: Call, status: int, text: str = "", data: bytes | None = None) -> None:
        """Give a call its outcome, as the platform would."""
        result = pb.GenericResult(status=status, exception=text)  # type: ignore[arg-type]
        if data is not None:
            result.data = data
        call.output = pb.FunctionGetOutputsItem(
            result=result, idx=0, input_id=call.input_id, data_format=pb.DATA_FORMAT_PICKLE
        )

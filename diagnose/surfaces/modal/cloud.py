"""What is asked of Modal from outside: a thin edge around its client.

Raises Unreachable where it cannot be asked.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime

import modal
from modal.exception import ConnectionError, NotFoundError
from modal.types import FileEntryType

from diagnose.surfaces.modal.cloud_types import Line, Remote
from diagnose.surfaces.modal.outcome import Outcome, Unreachable, of_error, one_line, words_of

ANSWER_S = 300.0  # the client gives up after a minute; a result may be large


@contextmanager
def asking() -> Iterator[None]:
    """Whatever the client raises here says nothing of the run."""
    try:
        yield
    except (Unreachable, FileNotFoundError):
        raise
    except Exception as error:
        raise Unreachable(one_line(error)) from error


def outcome(call_id: str) -> Outcome:
    """What became of a call, asked once. Raises Unreachable, also where there is no answer in time.

    In a thread of its own: a KeyboardInterrupt that is raised there is the function's, a person's comes here.
    """
    found: list[Outcome | Unreachable] = []

    def ask() -> None:
        try:
            value = modal.FunctionCall.from_id(call_id).get(timeout=0)
            found.append(Outcome("returned", value=value))
        except BaseException as error:
            try:
                found.append(of_error(error))
            except Unreachable as why:
                own = is_its_own(error, call_id)
                found.append(Outcome("user_exception", words_of(error)) if own else why)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(ANSWER_S)
    if not found:
        raise Unreachable(f"no answer within {ANSWER_S:g} s")
    if isinstance(found[0], Unreachable):
        raise found[0]
    return found[0]


def is_its_own(error: BaseException, call_id: str) -> bool:
    """Whether an error of the network was raised by the function, and not on the way to its result."""
    if isinstance(error, ConnectionError):  # a minute has gone already
        return False
    with suppress(Unreachable):
        return any(one["status"] == "FAILURE" for one in graph(call_id))
    return False


def graph(call_id: str) -> list[dict[str, object]]:
    """The call graph: a hint, neither live nor complete."""
    with asking():
        infos = modal.FunctionCall.from_id(call_id).get_call_graph()
    return [
        {
            "input_id": one.input_id,
            "task_id": one.task_id,
            "status": one.status.name,
            "name": one.function_name,
        }
        for one in infos[:100]
    ]


def files(volume: str, run: str) -> list[Remote]:
    """All files of a run on its volume; none where the volume has nothing of it yet."""
    with asking():
        try:
            entries = modal.Volume.from_name(volume).listdir(f"/{run}", recursive=True)
        except (NotFoundError, FileNotFoundError):
            return []
    prefix = f"{run}/"
    return [
        Remote(path.removeprefix(prefix), entry.size, int(entry.mtime))
        for entry in entries
        if entry.type == FileEntryType.FILE and (path := entry.path.lstrip("/")).startswith(prefix)
    ]


def read(volume: str, path: str, limit: int) -> bytes:
    """One file of a volume. Raises FileNotFoundError, and Unreachable where it is larger than `limit`."""
    data = bytearray()
    with asking():
        for part in modal.Volume.from_name(volume).read_file(path):
            data += part
            if len(data) > limit:
                raise Unreachable(f"more than {limit} bytes are too many")
    return bytes(data)


def logs(call_id: str, since: datetime, until: datetime) -> Iterator[Line]:
    """What the platform kept of a call's output and said itself, oldest first."""
    with asking():
        for entry in modal.FunctionCall.from_id(call_id).logs.fetch(since=since, until=until):
            yield Line(entry.timestamp.timestamp(), str(entry.source), entry.message)


def cancel(call_id: str, at_once: bool) -> None:
    """Ask for the call's end: its container is told with a heartbeat, and pushes what it has.

    `at_once` ends the container too: what it had not pushed is lost.
    """
    with asking():
        modal.FunctionCall.from_id(call_id).cancel(terminate_containers=at_once)

"""A platform that answers what a test says: also what the real client cannot be brought to."""

import json
import socket
from types import SimpleNamespace

from diagnose.surfaces.modal.cloud_types import Line, Remote
from diagnose.surfaces.modal.outcome import Outcome, Unreachable

NODE = socket.gethostname()
STARTED = {"event": "container.started", "attempt": "ta-1", "time": 5.0, "function_call_id": "fc-7"}
ENDED = {"event": "command.ended", "attempt": "ta-1", "time": 9.0, "exit_code": 0}
GOOD = {"status": "ok", "exit_code": 0, "pushed": "whole"}


class Cloud(SimpleNamespace):
    """What a test says the platform answers. `wrong`: paths that cannot be read now."""

    def __init__(self, outcome="running", value=None, **kept):
        super().__init__(told=Outcome(outcome, value=value), kept=dict(kept), wrong=set(), reads=[])

    def outcome(self, call_id):
        if isinstance(self.told, Exception):
            raise self.told
        return self.told

    def graph(self, call_id):
        return [{"input_id": "in-1", "task_id": "ta-1"}]

    def files(self, volume, run):
        return [Remote(path, len(data), 100) for path, data in list(self.kept.items())]

    def read(self, volume, path, limit):
        name = path.split("/", 2)[2]
        self.reads.append(name)
        if name in self.wrong:
            raise Unreachable("reset by peer")
        return self.kept[name]

    def logs(self, call_id, since, until):
        return iter([Line(5.0, "system", "[gpu-health] [CRITICAL] GPU-1: XID: NVRM: Xid 79")])

    def say(self, number, *events):
        text = "".join(json.dumps(event) + "\n" for event in events)
        self.kept[f"attempts/ta-1/events/container-{number:06d}.jsonl"] = text.encode()

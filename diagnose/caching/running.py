"""The cache gate of `diagnose run`: asked before the command starts, taught when it has ended well."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from diagnose import playbook
from diagnose.caching import gate, notes, places
from diagnose.caching.archive import Limits
from diagnose.caching.manifest import Provenance, Refused
from diagnose.caching.places import Measured
from diagnose.environment import conditions, launcher_flags
from diagnose.interpreter import assigned, interpreter
from diagnose.surfaces.local import NotStarted


class Say(Protocol):
    """Writes down one event."""

    def __call__(self, event: str, level: str = "info", **data: object) -> None: ...


def is_one_rank(command: Sequence[str], environ: Mapping[str, str]) -> bool:
    """Whether the launcher surely starts one rank, which waits for nobody.

    >>> is_one_rank(["torchrun", "train.py"], {}), is_one_rank(["torchrun", "--nproc-per-node", "8", "t.py"], {})
    (True, False)
    """  # noqa: E501
    flags = launcher_flags(command)
    if flags is None or "single_node" not in conditions(command, environ):
        return False
    return (flags.get("--nproc-per-node") or environ.get("PET_NPROC_PER_NODE") or "1") == "1"


class Gatekeeper:
    """Of one run and lane. `say` writes an event, `complain` prints a line."""

    def __init__(
        self,
        lane: str,
        command: Sequence[str],
        environ: Mapping[str, str],
        say: Say,
        complain: Callable[[str], None],
    ) -> None:
        self.lane, self.command, self.environ = lane, command, assigned(command, environ)
        self.say, self.complain = say, complain
        self.cache = places.locate(self.environ)
        self.limits = playbook.read(playbook.root() / "cache.toml", Limits)
        self.python = str(interpreter(command, self.environ) or sys.executable)
        self.left: Measured | None = None

    def admit(self) -> None:
        """Raises NotStarted where the command must not start."""
        least = gate.threshold(self.cache, self.lane, self.limits)
        measured = places.measure(self.cache)
        found = gate.ask(measured, least, self.environ, self.python)
        self.tell(measured, "start")
        if seed := notes.seed(self.cache):
            self.say("cache.seeded", source_path=seed.source)
        is_alone = is_one_rank(self.command, self.environ)
        data = msgspec.to_builtins(found) | {"lane": self.lane, "is_alone": is_alone}
        self.say("cache.gated", "info" if found.is_open else "warning", **data)
        told = f"{self.cache.inductor}: {found.reason} ({least.learnt_from})"
        if found.is_open or is_alone:
            self.complain(f"compile cache {told}" + ("" if found.is_open else "; one rank may warm it"))
            return
        state = "cannot be told" if found.is_open is None else "is too cold for several ranks"
        raise NotStarted(126, f"the compile cache {state}: {told}; next: {gate.NEXT}")

    def ended(self, code: int) -> None:
        """Measure once more after a good end, while events are still written."""
        if code == 0:
            self.left = places.measure(self.cache)
            self.tell(self.left, "end")

    def learn(self, is_good: bool, run: str) -> None:
        """After a good run its lane needs a share of what it left."""
        measured = self.left
        if not is_good or measured is None or measured.error or not measured.num_entries:
            return
        try:
            here = places.provenance(self.environ, self.python)
        except Refused:
            here = Provenance()
        good = notes.Good(round(time.time(), 3), run, measured.num_entries, measured.num_bytes, here)
        try:
            notes.note_good(self.cache, self.lane, good)
        except OSError as error:
            self.complain(f"the good run cannot be noted in {self.cache.inductor}: {error.strerror or error}")

    def tell(self, measured: Measured, moment: str) -> None:
        for part in measured.parts:
            self.say("cache.read", moment=moment, **msgspec.to_builtins(part))

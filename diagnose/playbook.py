"""The playbook's types, and `load`: data in TOML, refused at the first unknown key."""

import re
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from diagnose.model import Record, Scalar

T = TypeVar("T")


class PlaybookError(Exception):
    """A playbook file cannot be used. The message names the file and the key."""


class Test(Record, frozen=True, rename={"is_": "is"}):
    """A closed set of comparisons. No expressions, no variables, no nesting."""

    __test__ = False  # not a pytest class

    is_: Scalar = None
    one_of: list[Scalar] = []
    at_least: int | float | None = None
    at_most: int | float | None = None
    matches: str | None = None

    def __str__(self) -> str:
        words = {
            "is": self.is_,
            "is one of": ", ".join(map(str, self.one_of)) or None,
            "is at least": self.at_least,
            "is at most": self.at_most,
            "matches": self.matches,
        }
        return " and ".join(f"{word} {value}" for word, value in words.items() if value is not None)

    def holds(self, value: object) -> bool:
        """Whether `value` passes every comparison that is set."""
        number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
        return (
            (self.is_ is None or value == self.is_)
            and (not self.one_of or value in self.one_of)
            and (self.at_least is None or (number is not None and number >= self.at_least))
            and (self.at_most is None or (number is not None and number <= self.at_most))
            and (
                self.matches is None
                or (isinstance(value, str) and re.search(self.matches, value) is not None)
            )
        )


class Clause(Record, frozen=True):
    """A fact of this kind exists, and its data pass these tests."""

    fact: str
    where: dict[str, Test] = {}

    def __str__(self) -> str:
        tests = " and ".join(f"`{key}` {test}" for key, test in self.where.items())
        return f"`{self.fact}`" + (f" where {tests}" if tests else "")


class Failure(Record, frozen=True):
    """One failure mode: how to recognise it, what it explains, what to do."""

    title: str
    summary: str
    scope: Literal["rank", "node", "job"]
    role: Literal["root", "aftermath", "context"]
    status: Literal["draft", "proven"]
    when: list[Clause]
    remedies: list[str]
    lookalikes: list[str]
    unless: list[Clause] = []
    confirm: list[Clause] = []
    explains: list[str] = []
    references: list[str] = []


class Remedy(Record, frozen=True):
    title: str
    do: str
    verify: str
    risk: Literal["none", "restarts_job", "drains_node", "needs_hands"]


class Node(Record, frozen=True):
    """One question. `fact` lets the tool answer it; `look` lets a person.

    `yes` and `no` name the next node, `failure:<id>`, or `end`.
    """

    ask: str
    look: str
    yes: str
    no: str
    fact: Clause | None = None


class Tree(Record, frozen=True):
    """A symptom's questions, in the guide's order."""

    title: str
    start: str
    node: dict[str, Node]


class Source(Record, frozen=True):
    """One kind of evidence: what it settles, and the command that fetches it."""

    title: str
    settles: str
    collect: str  # the ranks it is wanted of stand beside it in the verdict


class Variable(Record, frozen=True):
    """One environment variable of a policy: what it is set to (absent: unset), and why."""

    why: str
    value: str | None = None  # `{spool}` and `{attempt}` are filled in
    drop: str = ""  # a path list: only the entries that this matches are taken out
    only: Literal["", "torchrun", "single_node", "fsdp", "tensor_parallel"] = ""  # else it is left alone
    unless_set: list[str] = []  # other names of the same thing: the operator's choice by any of them wins
    since: str = ""  # the versions in which it exists, for people
    torch: str = ""  # the torch that knows it by this name first
    older: str = ""  # its name before that, which newer versions still read
    until: str = ""  # the torch from which on it is not needed
    source: str = ""  # where this is known from


class Environment(Record, frozen=True):
    """A policy. `elsewhere`: what one value for all ranks cannot give, and how it is done instead."""

    title: str
    variable: dict[str, Variable]
    elsewhere: dict[str, str] = {}


class Limits(Record, frozen=True):
    """Numbers of the product: every one with its reason beside it in the file."""

    stall_after_s: float
    stall_after_first_step_s: float
    clock_skew_s: float
    flush_s: float


class Playbook(Record, frozen=True):
    failures: dict[str, Failure]
    remedies: dict[str, Remedy]
    trees: dict[str, Tree]
    sources: dict[str, Source]
    environments: dict[str, Environment]
    limits: Limits


def root() -> Path:
    """Where the playbook lies: in the installed package, else at the top of the checkout."""
    installed = Path(__file__).parent / "playbooks"
    return installed if installed.is_dir() else Path(__file__).parent.parent / "playbooks"


def read(path: Path, kind: type[T]) -> T:
    """One file. Raises PlaybookError with the file's name and the path inside it."""
    try:
        return msgspec.toml.decode(path.read_bytes(), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PlaybookError(f"{path.parent.name}/{path.name}: {error}") from error


def load(at: Path | None = None) -> Playbook:
    """Read every file; a file's name is the id of what it holds."""
    top = at or root()

    def folder(name: str, kind: type[T]) -> dict[str, T]:
        return {path.stem: read(path, kind) for path in sorted((top / name).glob("*.toml"))}

    return Playbook(
        failures=folder("failures", Failure),
        remedies=folder("remedies", Remedy),
        trees=folder("trees", Tree),
        sources=folder("sources", Source),
        environments=folder("environment", Environment),
        limits=read(top / "limits.toml", Limits),
    )

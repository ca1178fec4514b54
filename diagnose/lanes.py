"""Lanes and stages as the playbook has them, and what a record lacks of its lane's contract."""

import msgspec

from diagnose import playbook
from diagnose.contract import RunRecord
from diagnose.model import Record


class Lane(Record, frozen=True):
    """One kind of run. Fields are paths into the run record; `required` ones make it a receipt.

    Of `one_of` one of each list is required; where `wanted` ones lack, the record is thin.
    """

    title: str
    why: str
    min_steps: int
    required: list[str]
    wanted: list[str] = []
    one_of: list[list[str]] = []


class Stage(Record, frozen=True):
    title: str
    looks: str
    open: str
    fix: str
    cut: str = ""


class Named(Record, frozen=True):
    title: str


class Stages(Record, frozen=True):
    """`playbooks/stages.toml`."""

    any: Lane
    stage: dict[str, Stage]
    layer: dict[str, Named]
    phase: dict[str, Named]


def names() -> list[str]:
    """The lanes there are."""
    return sorted(path.stem for path in (playbook.root() / "lanes").glob("*.toml"))


def lane(name: str) -> Lane:
    """The lane of that name; what every record owes where there is none. Raises PlaybookError."""
    return (
        playbook.read(playbook.root() / "lanes" / f"{name}.toml", Lane) if name in names() else stages().any
    )


def stages() -> Stages:
    """Raises PlaybookError."""
    return playbook.read(playbook.root() / "stages.toml", Stages)


def value(record: RunRecord, path: str) -> object:
    """What lies at a path; of a list of ranks the value of the one that lacks it. None where nothing does."""
    return at(msgspec.to_builtins(record), path.split("."))


def at(found: object, steps: list[str]) -> object:
    for num, step in enumerate(steps):
        if isinstance(found, list):
            values = [at(one, steps[num:]) for one in found]
            return next((one for one in values if not is_told(one)), values[0] if values else None)
        found = found.get(step) if isinstance(found, dict) else None
    return found


def is_told(found: object) -> bool:
    return found is not None and found not in ("", [], {})


def lacks(record: RunRecord, of: Lane) -> list[str]:
    """What keeps the record from being a receipt, in words; nothing: it is one."""
    missing = short(record, of)
    missing += [f"no {path}" for path in of.required if not is_told(value(record, path))]
    for group in of.one_of:
        if not any(is_told(value(record, path)) for path in group):
            missing.append(f"no {' and no '.join(group)}")
    return missing


def short(record: RunRecord, of: Lane) -> list[str]:
    """What keeps its figures from being compared: it is not whole, or not long enough."""
    num = record.steps.num or 0
    missing = [] if record.end_marker else ["no end marker"]
    if num < of.min_steps:
        missing.append(f"{num} step{'' if num == 1 else 's'} of at least {of.min_steps}")
    return missing


def thin(record: RunRecord, of: Lane) -> list[str]:
    """What its lane wants beside that, and it lacks."""
    return [path for path in of.wanted if not is_told(value(record, path))]

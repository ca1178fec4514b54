"""Lines that jobs print: a file for each family of them, found by being there.

A family has `EVENTS` (kind -> meaning) and `LINES` (its patterns); its docstring shows a line and its event.
Logs of ranks and of launchers are searched for all of them.
"""

import importlib
import pkgutil
from functools import cache
from types import ModuleType

from diagnose.messages import Pattern


@cache
def families() -> tuple[ModuleType, ...]:
    """Every file of this folder, by name."""
    return tuple(
        importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)
    )


@cache
def patterns() -> tuple[Pattern, ...]:
    """The lines of all families."""
    return tuple(pattern for family in families() for pattern in family.LINES)


@cache
def events() -> dict[str, str]:
    """The kinds of events of all families, with their meaning."""
    return {kind: says for family in families() for kind, says in family.EVENTS.items()}

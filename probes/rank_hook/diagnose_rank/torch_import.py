"""Calls back right after the program itself has imported a module, and leaves no trace on that module."""

import sys
from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

    After = Callable[[ModuleType, "float | None"], None]
    Before = Callable[[], None]

_after: "dict[str, list[After]]" = {}
_before: "dict[str, list[Before]]" = {}


def when_imported(name: str, after: "After", before: "Before | None" = None) -> None:
    """Call `after(module, seconds)` once the program has imported `name`; now, with None, if it has already.

    `before()` is called just before the module is executed, or not at all. Callbacks raise nothing.
    """
    module = sys.modules.get(name)
    if module is not None and not getattr(getattr(module, "__spec__", None), "_initializing", False):
        after(module, None)
        return
    _after.setdefault(name, []).append(after)
    if before is not None:
        _before.setdefault(name, []).append(before)
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


class _Finder:
    """Finds nothing itself: it asks the others, and has the module's own loader call back."""

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        if name not in _after:
            return None
        for finder in list(sys.meta_path):
            find = None if finder is self else getattr(finder, "find_spec", None)
            spec: "ModuleSpec | None" = None if find is None else find(name, path, target)
            if spec is not None:
                _arm(spec)
                return spec
        return None


_finder = _Finder()


def _guarded(function: "Callable[..., object]", *arguments: object) -> None:
    try:
        function(*arguments)
    except Exception:  # even a part of ours that cannot be loaded must not fail the program's import
        pass


def _arm(spec: "ModuleSpec") -> None:
    loader = spec.loader
    original = getattr(loader, "exec_module", None)
    if original is None or "exec_module" in getattr(loader, "__dict__", {"exec_module": None}):
        return

    def exec_module(module: "ModuleType") -> None:
        name = module.__name__
        if name != spec.name:  # a loader that serves several modules
            original(module)
            return
        loader.__dict__.pop("exec_module", None)
        for before in _before.pop(name, ()):
            _guarded(before)
        began = monotonic()
        try:
            original(module)
        except BaseException as error:
            hide_caller(error)
            raise
        for after in _after.pop(name, ()):
            _guarded(after, module, monotonic() - began)
        if not _after and _finder in sys.meta_path:
            sys.meta_path.remove(_finder)

    try:
        loader.exec_module = exec_module  # type: ignore[union-attr,method-assign]
    except AttributeError:
        return


def hide_caller(error: BaseException) -> None:
    """Drop the caller's own frame from a traceback that passes through it; a bare `raise` must follow.

    From Python 3.11 on the traceback then reads as it would without us; before, our frame stays.
    """
    if error.__traceback__ is not None:
        error.__traceback__ = error.__traceback__.tb_next

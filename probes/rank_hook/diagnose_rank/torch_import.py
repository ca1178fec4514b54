"""Calls back right after the program itself has imported a module, and leaves no trace on that module."""

import sys
from time import time

_wanted: "dict[str, list[object]]" = {}
_before: "dict[str, list[object]]" = {}


def when_imported(name, after, before=None):
    """Call `after(module, seconds)` once the program has imported `name`: now, if it already has.

    `before()` is called just before the module is executed, and not at all if it already was. Callbacks raise nothing.
    """
    module = sys.modules.get(name)
    if module is not None and not getattr(getattr(module, "__spec__", None), "_initializing", False):
        after(module, None)
        return
    _wanted.setdefault(name, []).append(after)
    if before is not None:
        _before.setdefault(name, []).append(before)
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


class _Finder:
    """Finds nothing itself: it asks the others, and has the module's own loader call back."""

    def find_spec(self, name, path=None, target=None):
        if name not in _wanted:
            return None
        for finder in list(sys.meta_path):
            find = None if finder is self else getattr(finder, "find_spec", None)
            spec = None if find is None else find(name, path, target)
            if spec is not None:
                _arm(spec)
                return spec
        return None


_finder = _Finder()


def _arm(spec):
    loader = spec.loader
    original = getattr(loader, "exec_module", None)
    if original is None or "exec_module" in getattr(loader, "__dict__", {"exec_module": None}):
        return

    def exec_module(module):
        loader.__dict__.pop("exec_module", None)
        name = module.__name__
        if name != spec.name:  # a loader shared by several modules
            return original(module)
        for before in _before.pop(name, ()):
            before()
        began = time()
        try:
            original(module)
        except BaseException as error:
            hide_caller(error)
            raise
        for after in _wanted.pop(name, ()):
            after(module, time() - began)
        if not _wanted and _finder in sys.meta_path:
            sys.meta_path.remove(_finder)
        return None

    try:
        loader.exec_module = exec_module
    except AttributeError:
        return


def hide_caller(error):
    """Drop the caller's own frame from a traceback that passes through it; a bare `raise` must follow.

    From Python 3.11 on the traceback then reads as it would without us; before, one frame of ours stays in it.
    """
    if error.__traceback__ is not None:
        error.__traceback__ = error.__traceback__.tb_next

"""Process groups: who is in which, and how long the making of the default one takes."""

import os
import sys
from time import time

from .session import become, emit, me, quiet, write_claim
from .state import HAS_GROUP
from .torch_import import hide_caller

_seen = set()


def patch(c10d):
    """Wrap what makes groups, before anybody else can import it from there. Collectives stay as they are."""
    import functools

    def follow(name, before, after):
        original = getattr(c10d, name, None)
        if original is None:
            return

        @functools.wraps(original)
        def wrapper(*args, **kwargs):
            began = quiet(name, before, original, args, kwargs)
            try:
                result = original(*args, **kwargs)
            except BaseException as error:
                quiet(name, after, c10d, began, args, kwargs, False)
                hide_caller(error)
                raise
            quiet(name, after, c10d, began, args, kwargs, True)
            return result

        setattr(c10d, name, wrapper)

    follow("init_process_group", _init_begins, _init_ends)
    follow("new_group", _nothing, _made)
    follow("split_group", _nothing, _made)


def _nothing(original, args, kwargs):
    return None


def _argument(args, kwargs, name, position):
    return kwargs[name] if name in kwargs else args[position] if len(args) > position else None


def _rank_of(args, kwargs):
    """The global rank a call will have, from its arguments, its URL or the environment; -1 unknown."""
    rank = _argument(args, kwargs, "rank", 4)
    if isinstance(rank, int) and rank >= 0:
        return rank
    url = _argument(args, kwargs, "init_method", 1)
    if isinstance(url, str) and "rank=" in url.partition("?")[2]:
        digits = url.partition("?")[2].replace("&", " ").replace("rank=", " rank= ").split()
        for word, value in zip(digits, digits[1:]):
            if word == "rank=" and value.isdigit():
                return int(value)
    if _argument(args, kwargs, "store", 5) is None and os.environ.get("RANK", "").isdigit():
        return int(os.environ["RANK"])
    return -1


def _init_begins(original, args, kwargs):
    rank = _rank_of(args, kwargs)
    if rank >= 0:
        _claim(rank)
    if me.is_rank():
        from . import control

        quiet("control", control.serve)
        if me.page is not None:
            me.page.enter(1)
        me.num_inits += 1
        emit("phase.started", phase="init_process_group", num=me.num_inits)
    return time()


def _claim(rank):
    how = me.how if me.is_rank() and me.rank == rank and me.how == "environment" else "process_group"
    if become(rank, how):
        from . import start

        start.arm_rank()
        process = sys.modules.get("multiprocessing.process")
        if process is not None:
            from . import errors

            quiet("errors", errors.follow_child, process)


def _init_ends(c10d, began, args, kwargs, ok):
    if not ok and not me.is_rank():
        return
    if ok and not me.is_rank():
        _claim(c10d.get_rank())
    if not me.is_rank():
        return
    if me.page is not None:
        me.page.enter(0)
    emit("phase.ended", phase="init_process_group", num=me.num_inits, seconds=round(time() - began, 3), ok=ok)
    if ok:
        me.has_group = True
        _seen.clear()
        quiet("claim", write_claim)
        if me.page is not None:
            me.page.flag(HAS_GROUP)
        from . import control, errors

        quiet("control", control.serve)
        _made(c10d, began, args, kwargs, ok)
        quiet("errors", errors.install)  # torch has put its own excepthook first


def _made(c10d, began, args, kwargs, ok):
    """Report every group that is new since the last time: one call may make several, and some calls are not wrapped."""
    if not me.is_rank():
        return
    world = c10d._world
    for group, name in list(world.pg_names.items()):
        if name in _seen:
            continue
        _seen.add(name)
        me.num_groups += 1
        ranks = world.pg_group_ranks.get(group) or {}
        backend = str(world.pg_map[group][0])
        emit(
            "group.created",
            group=str(name),
            desc=str(getattr(group, "group_desc", "") or ""),
            ranks=[rank for rank, _ in sorted(ranks.items(), key=lambda pair: pair[1])],
            backend=backend,
            timeout_s=quiet("timeout", _timeout, c10d, backend, args, kwargs),
            index=me.num_groups - 1,
        )


def _timeout(c10d, backend, args, kwargs):
    for given in [*args, *kwargs.values()]:
        if hasattr(given, "total_seconds"):
            return given.total_seconds()
    return c10d._get_default_timeout(backend).total_seconds()

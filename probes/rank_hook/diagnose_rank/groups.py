"""Process groups: who is in which, and how long the making of the default one takes."""

import os
import sys
from time import monotonic

from . import names
from .claiming import become, write_claim
from .session import emit, me, number, quiet
from .state import HAS_GROUP
from .torch_import import hide_caller

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Before = Callable[["tuple[Any, ...]", "dict[str, Any]"], float]
    After = Callable[["Any", "float | None", "tuple[Any, ...]", "dict[str, Any]", bool], None]

_DUMP_FILES = ("TORCH_FR_DUMP_TEMP_FILE", "TORCH_NCCL_DEBUG_INFO_TEMP_FILE")
_seen: "set[str]" = set()


def patch(c10d: "Any") -> None:
    """Wrap what makes groups, before anybody else can import it from there. Collectives stay as they are."""
    import functools

    def follow(name: str, before: "Before", after: "After") -> None:
        original = getattr(c10d, name, None)
        if original is None:
            return

        @functools.wraps(original)
        def wrapper(*args: "Any", **kwargs: "Any") -> "Any":
            began = quiet(name, before, args, kwargs)
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


def _nothing(args: "tuple[Any, ...]", kwargs: "dict[str, Any]") -> float:
    return 0.0


def _argument(args: "tuple[Any, ...]", kwargs: "dict[str, Any]", name: str, position: int) -> "Any":
    return kwargs[name] if name in kwargs else args[position] if len(args) > position else None


def _rank_of(args: "tuple[Any, ...]", kwargs: "dict[str, Any]") -> int:
    """The global rank a call will have, from its arguments, its URL or the environment; -1 unknown."""
    rank = _argument(args, kwargs, "rank", 4)
    if isinstance(rank, int) and rank >= 0:
        return rank
    url = _argument(args, kwargs, "init_method", 1)
    if isinstance(url, str) and "rank=" in url.partition("?")[2]:
        for pair in url.partition("?")[2].split("&"):
            if pair.startswith("rank=") and pair[5:].isdigit():
                return int(pair[5:])
    if _argument(args, kwargs, "store", 5) is None and os.environ.get("RANK", "").isdigit():
        return int(os.environ["RANK"])
    return -1


def _address(args: "tuple[Any, ...]", kwargs: "dict[str, Any]") -> "str | None":
    """Where the ranks are to meet, without user and query; None where the program brings its own store."""
    if _argument(args, kwargs, "store", 5) is not None:
        return None
    url = _argument(args, kwargs, "init_method", 1)
    if isinstance(url, str) and not url.startswith("env:"):
        scheme, _, rest = url.partition("?")[0].partition("://")
        return f"{scheme}://{rest.rpartition('@')[2]}"
    host, port = os.environ.get("MASTER_ADDR", ""), os.environ.get("MASTER_PORT", "")
    return f"tcp://{host}:{port}" if host and port else None


def _init_begins(args: "tuple[Any, ...]", kwargs: "dict[str, Any]") -> float:
    rank = _rank_of(args, kwargs)
    size = _argument(args, kwargs, "world_size", 3)
    me.world_size = size if isinstance(size, int) and size > 0 else None
    if rank >= 0:
        _claim(rank)
    if me.is_rank():
        from . import control

        quiet("control", control.serve)
        if me.page is not None:
            me.page.enter(1)
        me.num_inits += 1
        quiet("recorder", _own_folder)
        backend = _argument(args, kwargs, "backend", 0)
        emit(
            "phase.started",
            phase="init_process_group",
            num=me.num_inits,
            backend=None if backend is None else str(backend),
            world_size=me.world_size or number("WORLD_SIZE"),
            address=_address(args, kwargs),
            timeout_s=_given_timeout(args, kwargs),
            dump_file=_dump_file(),
            dump_pipe=os.environ.get("TORCH_NCCL_DEBUG_INFO_PIPE_FILE"),
        )
    return monotonic()


def _dump_file() -> "str | None":
    """The prefix of the file that NCCL's watchdog dumps into; programs may have set it after their start."""
    return next((value for name in _DUMP_FILES if (value := os.environ.get(name))), None)


def _own_folder() -> None:
    """After a launcher's restart the watchdog's dumps are the new attempt's; the setting is the old one's."""
    theirs = f"{names.attempt_dir(me.spool, os.environ.get('DIAGNOSE_ATTEMPT') or '1')}/"
    own = f"{names.attempt_dir(me.spool, me.attempt)}/"
    for name in _DUMP_FILES:
        value = os.environ.get(name, "")
        if theirs != own and value.startswith(theirs):
            path = own + value[len(theirs) :]
            os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
            os.environ[name] = path


def _claim(rank: int) -> None:
    how = me.how if me.is_rank() and me.rank == rank and me.how == "environment" else "process_group"
    if become(rank, how):
        from . import arming

        arming.arm()
        process = sys.modules.get("multiprocessing.process")
        if process is not None:
            from . import errors

            quiet("errors", errors.follow_child, process)


def _init_ends(
    c10d: "Any", began: "float | None", args: "tuple[Any, ...]", kwargs: "dict[str, Any]", ok: bool
) -> None:
    if not ok and not me.is_rank():
        return
    if ok and not me.is_rank():
        me.world_size = c10d.get_world_size()
        _claim(c10d.get_rank())
    if not me.is_rank():
        return
    if me.page is not None:
        me.page.enter(0)
    seconds = None if began is None else round(monotonic() - began, 3)
    emit("phase.ended", phase="init_process_group", num=me.num_inits, seconds=seconds, ok=ok)
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


def _made(
    c10d: "Any", began: "float | None", args: "tuple[Any, ...]", kwargs: "dict[str, Any]", ok: bool
) -> None:
    """Report every group that is new: one call may make several, and not every maker is wrapped."""
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
        me.backends.update(_names(world, group, backend))
        emit(
            "group.created",
            group=str(name),
            desc=str(getattr(group, "group_desc", "") or ""),
            ranks=[rank for rank, _ in sorted(ranks.items(), key=lambda pair: pair[1])],
            backend=backend,
            timeout_s=quiet("timeout", _timeout, c10d, backend, args, kwargs),
            index=me.num_groups - 1,
        )


def _names(world: "Any", group: "Any", backend: str) -> "set[str]":
    """What moves a group's tensors; `cpu:gloo,cuda:nccl` names one for each device."""
    config = str(world.pg_backend_config.get(group, "") or backend)
    return {part.rpartition(":")[2] for part in config.split(",")} - {""}


def _timeout(c10d: "Any", backend: str, args: "tuple[Any, ...]", kwargs: "dict[str, Any]") -> float:
    given = _given_timeout(args, kwargs)
    return float(c10d._get_default_timeout(backend).total_seconds()) if given is None else given


def _given_timeout(args: "tuple[Any, ...]", kwargs: "dict[str, Any]") -> "float | None":
    for given in [*args, *kwargs.values()]:
        if hasattr(given, "total_seconds"):
            return float(given.total_seconds())
    return None

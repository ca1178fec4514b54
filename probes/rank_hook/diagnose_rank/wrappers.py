"""What shares a model among ranks: noticed when it is first used, before any forward pass."""

from .session import emit, me, quiet
from .torch_import import hide_caller

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

# Name in the module -> what is said of it. Of a class its making is followed.
_NAMES = (
    ("DistributedDataParallel", "ddp"),
    ("FullyShardedDataParallel", "fsdp"),
    ("fully_shard", "fsdp2"),
    ("parallelize_module", "tensor_parallel"),
    ("PipelineStage", "pipeline"),
)


def patch(module: "ModuleType") -> None:
    """Wrap what this module defines, before anybody else can import it from there."""
    for name, wrapper in _NAMES:
        found = getattr(module, name, None)
        if getattr(found, "__module__", None) != module.__name__:
            continue
        if isinstance(found, type):
            found.__init__ = _followed(found.__init__, wrapper, 1)  # type: ignore[misc]
        else:
            setattr(module, name, _followed(found, wrapper, 0))


def _followed(original: "Any", wrapper: str, position: int) -> "Any":
    import functools

    @functools.wraps(original)
    def follow(*args: "Any", **kwargs: "Any") -> "Any":
        try:
            result = original(*args, **kwargs)
        except BaseException as error:
            hide_caller(error)
            raise
        if wrapper not in me.wrappers:
            quiet(
                "wrappers",
                _used,
                wrapper,
                kwargs.get("module", args[position] if len(args) > position else None),
            )
        return result

    return follow


def _used(wrapper: str, model: object) -> None:
    if me.is_rank():
        me.wrappers.append(wrapper)
        emit("model.wrapped", wrapper=wrapper, model=type(model).__name__)

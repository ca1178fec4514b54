"""Training steps, counted where every optimizer passes; each costs a few stores in a mapped page."""

from time import monotonic

from .session import emit, me, quiet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType


def patch(module: "ModuleType") -> None:
    """`module` is torch.optim.optimizer."""
    torch = module.torch

    def after_step(optimizer: object, args: object, kwargs: object) -> None:
        # The compiler traces into hooks of optimizers: for it, ours must be empty. A step inside a compiled
        # function is therefore not counted.
        if torch.compiler.is_compiling() or me.counts_steps:
            return
        count()

    module.register_optimizer_step_post_hook(after_step)


def count() -> None:
    """A step has ended. Raises nothing."""
    try:
        page = me.page
        if page is not None and page.step() == 1:
            first()
    except Exception:  # the program comes first
        pass


def first() -> None:
    """Say that the first step has ended, and what it ran with."""
    emit("step.first_completed", seconds=round(monotonic() - me.claimed_at, 3))
    from . import describing

    quiet("describing", describing.at_first_step)

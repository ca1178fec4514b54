"""Training steps, counted where every optimizer passes; a store in a mapped page is all that a step costs."""

from .session import emit, me


def patch(module):
    """`module` is torch.optim.optimizer."""
    import sys
    from time import time

    # The compiler traces into optimizer hooks: there, ours must be nothing at all.
    is_compiling = None

    def after_step(optimizer, args, kwargs):
        nonlocal is_compiling
        if me.page is not None and me.page.step() == 1:
            emit("step.first_completed", seconds=round(time() - me.claimed_at, 3))

    del sys, is_compiling
    module.register_optimizer_step_post_hook(after_step)

"""Options that several commands share."""

import math
from collections.abc import Callable
from typing import Any

import click

POLICIES = ("observe", "policy", "none")  # as diagnose.environment has them, which is slower to import
MODES = ("single", "ddp", "tensor_parallel", "ddp+tensor_parallel", "fsdp2")

mode = click.option(
    "--mode", "sharing", type=click.Choice(MODES), help="How the ranks share the model: some settings ask."
)


class Finite(click.FloatRange):
    """A range of numbers, of which "not a number" is none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        found = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return found


def policy(default: str) -> Callable[[Any], Any]:
    """`--env`."""
    return click.option(
        "--env",
        "mode",
        type=click.Choice(POLICIES),
        default=default,
        show_default=True,
        help="observe: recorders and logs; policy: the playbook's settings too; none: nothing.",
    )

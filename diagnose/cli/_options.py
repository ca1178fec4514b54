"""Options that several commands share."""

from collections.abc import Callable
from typing import Any

import click

POLICIES = ("observe", "policy", "none")  # as diagnose.environment has them, which is slower to import
MODES = ("single", "ddp", "tensor_parallel", "ddp+tensor_parallel", "fsdp2")

mode = click.option(
    "--mode", "sharing", type=click.Choice(MODES), help="How the ranks share the model: some settings ask."
)


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

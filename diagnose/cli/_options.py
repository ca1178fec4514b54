"""Options that several commands share."""

import math
import shlex
from collections.abc import Callable
from functools import reduce
from typing import Any

import click
from click.core import ParameterSource

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


CHECKS = (
    click.option(
        "--only", multiple=True, metavar="WHAT", help="Only these: ids, names or groups (D01,storage)."
    ),
    click.option("--skip", multiple=True, metavar="WHAT", help="All but these."),
    click.option("--fast", "level", flag_value="fast", help="What takes no time: 10 s at most."),
    click.option("--deep", "level", flag_value="deep", help="Load and bandwidth too: 10 min at most."),
    click.option(
        "--exclude-cost", "without", multiple=True, metavar="COST", help="Leave out what costs this."
    ),
    click.option(
        "--path", "folders", multiple=True, metavar="FOLDER", help="Where the job reads and writes."
    ),
    click.option(
        "--set", "settings", multiple=True, metavar="NAME=N", help="Sizes: checkpoint_bytes=20G ..."
    ),
    click.option(
        "--format",
        "form",
        type=click.Choice(["terminal", "json", "junit", "markdown"]),
        default="terminal",
        show_default=True,
    ),
    click.option(
        "-v", "--verbose", is_flag=True, help="Every check, why it matters, and its threshold's source."
    ),
)


def checks(command: Callable[..., Any]) -> Callable[..., Any]:
    """Which checks of the pre-flight, how thorough, and how they are shown."""
    return reduce(lambda made, option: option(made), reversed(CHECKS), command)


def reduced(ctx: click.Context, given: dict[str, Any]) -> list[str]:
    """The words of `--reduced`, which ends a job that hangs: else nobody would come to know of it.

    Raises BadParameter.
    """
    try:
        words = shlex.split(given["reduced"])
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--reduced") from None
    if words and ctx.get_parameter_source("on_stall") is ParameterSource.DEFAULT:
        given["on_stall"] = "stop"
    return words

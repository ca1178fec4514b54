"""Options that say what kind of container on Modal: of `modal launch` and of `modal preflight`."""

from collections.abc import Callable
from functools import reduce
from typing import Any

import click

from diagnose.cli import _options

OPTIONS = (
    click.option(
        "--gpu", default="", metavar="KIND[:N]", help="GPUs of a container, such as H200:8 (default: none)."
    ),
    click.option(
        "--nodes",
        default=1,
        type=click.IntRange(min=1),
        metavar="N",
        help="So many containers as one cluster, whole nodes of 8 GPUs (default: 1).",
    ),
    click.option("--rdma", is_flag=True, help="RDMA between the nodes of a cluster."),
    click.option("--image", default="", metavar="REF", help="An image of a registry, best by its digest."),
    click.option("--python", "version", default="", metavar="X.Y", help="Put this Python into the image."),
    click.option(
        "--pip", multiple=True, metavar="PACKAGE", help="Install a package into the image; may be repeated."
    ),
    click.option(
        "--code",
        type=click.Path(exists=True, file_okay=False),
        metavar="DIR",
        help="A local folder that goes along; the command starts in it.",
    ),
    click.option("--workdir", default="", metavar="DIR", help="Where in the container the command starts."),
    click.option(
        "--volume", "mounts", multiple=True, metavar="NAME:/PATH[:ro]", help="Mount a volume; ro: read-only."
    ),
    click.option(
        "--secret",
        "secrets",
        multiple=True,
        metavar="NAME",
        help="A secret of Modal's by its name: its variables are there.",
    ),
    click.option("--memory", metavar="REQUEST:LIMIT", help="Host memory, such as 512GiB:640GiB."),
    click.option("--cpu", type=_options.Finite(min=0.125), metavar="N", help="Physical cores."),
    click.option("--startup-timeout", metavar="T", help="When Modal gives up on its start."),
    click.option("--region", default="", metavar="NAME", help="Where it runs, such as us-east (costs more)."),
    click.option("--cloud", default="", metavar="NAME", help="Whose machines it runs on: aws, gcp, oci."),
    click.option(
        "--diagnostics",
        default="diagnose",
        show_default=True,
        metavar="VOLUME",
        help="The volume that evidence is pushed to.",
    ),
    _options.policy("policy"),
    click.option("--cache-volume", default="", metavar="NAME", help="A volume that keeps the compile cache."),
)


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Put all of them on a command."""
    return reduce(lambda made, option: option(made), reversed(OPTIONS), command)

"""What this machine is called in event lines, and its place among others of a cluster."""

import json
import os
import socket
from collections.abc import Mapping
from typing import Any

# Where platforms and people say what image a container was made from.
IMAGES = (
    "DIAGNOSE_IMAGE",
    "MODAL_IMAGE_ID",
    "IMAGE_DIGEST",
    "CONTAINER_IMAGE",
    "DOCKER_IMAGE",
    "IMAGE_ID",
    "APPTAINER_CONTAINER",
)


def node() -> str:
    """DIAGNOSE_NODE, else the host's name: containers of one cluster may all be called alike."""
    return os.environ.get("DIAGNOSE_NODE") or socket.gethostname()


def image(environ: Mapping[str, str]) -> str:
    """The image's id or digest, where the container's environment tells it.

    >>> image({"IMAGE_ID": "b", "MODAL_IMAGE_ID": "im-1"})
    'im-1'
    """
    return next((environ[name] for name in IMAGES if environ.get(name)), "")


def cluster() -> dict[str, Any]:
    """DIAGNOSE_CLUSTER: cluster_id, node_index, num_nodes, first_rank; empty where there is none."""
    try:
        told = json.loads(os.environ.get("DIAGNOSE_CLUSTER", ""))
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def first_rank() -> int:
    """The first rank of this machine, as far as that was told."""
    told = cluster().get("first_rank")
    return told if isinstance(told, int) else 0

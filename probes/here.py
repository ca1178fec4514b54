"""What this machine is called in event lines."""

import os
import socket


def node() -> str:
    """DIAGNOSE_NODE, else the host's name: containers of one cluster may all be called alike."""
    return os.environ.get("DIAGNOSE_NODE") or socket.gethostname()

"""The container's real runtime where a cluster's network is: its own name there has the address $ADDRESS."""

import os
import runpy
import socket
from typing import Any

resolve = socket.getaddrinfo


def getaddrinfo(host: Any, *more: Any, **named: Any) -> Any:
    return resolve(os.environ["ADDRESS"] if host == "i6pn.modal.local" else host, *more, **named)


if __name__ == "__main__":
    socket.getaddrinfo = getaddrinfo
    runpy.run_module("modal._container_entrypoint", run_name="__main__")

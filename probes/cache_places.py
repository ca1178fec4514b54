"""Where Inductor and Triton keep what they compile, by themselves or as the environment says."""

import getpass
import os
import re
from collections.abc import Mapping

NAMES = ("LOGNAME", "USER", "LNAME", "USERNAME")  # in Python's own order
PLACES = ("TMPDIR", "TEMP", "TMP")


def inductor(environ: Mapping[str, str], user: str = "") -> str:
    """Inductor's folder for a process with this environment; `user`: its name, where that is known.

    >>> inductor({"TORCHINDUCTOR_CACHE_DIR": "/c"}), inductor({"USER": "me@x/y"})
    ('/c', '/tmp/torchinductor_me@x_y')
    """
    told = next((environ[name] for name in NAMES if environ.get(name)), "")
    name = re.sub(r'[\\\\/:*?"<>|]', "_", told or user or who())
    return environ.get("TORCHINDUCTOR_CACHE_DIR") or os.path.join(temporary(environ), f"torchinductor_{name}")


def triton(environ: Mapping[str, str]) -> str:
    """Triton's own folder. What Inductor makes with it lies below Inductor's, unless TRITON_CACHE_DIR is set.

    >>> triton({"TRITON_CACHE_DIR": " /t "}), triton({"HOME": "/h"}), triton({"TRITON_HOME": "/x"})
    ('/t', '/h/.triton/cache', '/x/.triton/cache')
    """
    home = environ.get("TRITON_HOME") or environ.get("HOME") or os.path.expanduser("~")
    return environ.get("TRITON_CACHE_DIR", "").strip() or os.path.join(home, ".triton", "cache")


def temporary(environ: Mapping[str, str]) -> str:
    """The folder for temporary files, as Python finds it: one that cannot be written is passed over."""
    told = [environ[name] for name in PLACES if environ.get(name)]
    return next((os.path.abspath(path) for path in told if os.access(path, os.W_OK | os.X_OK)), "/tmp")


def who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ModuleNotFoundError):
        return f"uid_{os.getuid()}"

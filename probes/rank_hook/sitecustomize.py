"""Arms the rank hook, then gets out of the way: the interpreter looks as if this file had never been there.

Any other `sitecustomize` further on the path is imported as usual. Where there is none, the ImportError that
`site` expects is raised, so that no module of this name stays behind.
"""

import os
import sys


def _arm(here):
    if not os.environ.get("DIAGNOSE_SPOOL"):
        return
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        from diagnose_rank import start

        start.start()
    except Exception:  # the program comes first, always
        pass


def _leave(here):
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or os.curdir) != here]
    sys.path_importer_cache.pop(here, None)
    sys.modules.pop("sitecustomize", None)


_here = os.path.dirname(os.path.abspath(__file__))
_arm(_here)
_leave(_here)
import sitecustomize  # noqa: E402,F401  (the program's own, or the ImportError that `site` waits for)

"""What the files of a compile cache are, by their place and name: Inductor's folder, and Triton's own."""

import re

INDUCTOR, TRITON = "inductor", "triton"  # the two folders that make up a cache
NOTES = ".diagnose-"  # begins the names of our own notes in one
# What is compiled, and would be compiled again: a gate counts these, by key where one has several files.
COUNTED = ("graph", "autograd", "triton", "library", "autotune")
# Not worth carrying elsewhere: of one machine, of one moment, or ours.
LEFT_OUT = ("lock", "draft", "header", "note")

_DRAFT = re.compile(r"(?:^|/)(?:\.\d{1,10}\.\d{1,20}\.tmp|tmp\.pid_[^/]{1,80}|[^/]{1,200}\.tmp)(?:/|$)")
_FOLDERS = {"fxgraph": "graph", "aotautograd": "autograd", "triton": "triton", "cache": "autotune"}
_HEADERS = {"precompiled_headers", "gcc"}  # large, and bound to this machine's paths
_ENDINGS = {".so": "library", ".best_config": "autotune", ".lock": "lock"}


def kind(part: str, path: str) -> str:
    """What a file is; `path` is relative to its part's folder.

    >>> [kind("inductor", path) for path in ("fxgraph/gr/fgr/tzp", "7s/c7s.main.so", "fv/cfv.py", "locks/c.lock")]
    ['graph', 'library', 'code', 'lock']
    >>> kind("triton", "KEY/kernel.cubin"), kind("inductor", "triton/0/KEY/tmp.pid_7_ab/kernel.json")
    ('triton', 'draft')
    """  # noqa: E501
    first, _, _ = path.partition("/")
    name = path.rpartition("/")[2]
    if first.startswith(NOTES):
        return "note"
    if _DRAFT.search(path):
        return "draft"
    if name == "lock" or first == "locks":
        return "lock"
    if first in _HEADERS:
        return "header"
    ending = _ENDINGS.get(name[name.rfind(".") :]) if "." in name else None
    if ending == "lock":
        return "lock"
    if part == TRITON:
        return "triton"
    if "/" in path and first in _FOLDERS:
        return _FOLDERS[first]
    return ending or "code"


def entry(part: str, path: str) -> str:
    """The entry that a file belongs to: its key's folder, or itself.

    >>> entry("inductor", "fxgraph/gr/fgr/tzp"), entry("inductor", "7s/c7s.main.so")
    ('fxgraph/gr/fgr', '7s/c7s.main.so')
    """
    is_keyed = kind(part, path) in {"graph", "autograd", "triton"}
    return path.rpartition("/")[0] if is_keyed else path

"""Measurements of several nodes as one: every check once for each node, also where it was not made. Pure."""

from collections.abc import Iterable, Mapping

import msgspec

from diagnose.preflight.measured import Measured

HOWS = ("lost", "interrupted", "ended")  # the worst first


def join(by_node: Mapping[str, Measured]) -> Measured:
    """One of all nodes, which are told apart by their names. Raises ValueError for none."""
    found = list(by_node.values())
    made = [
        msgspec.structs.replace(one, on_node=name)
        for name, measured in by_node.items()
        for one in (*measured.checks, *measured.unmade())
    ]
    first = next((one for one in found if one.checks), found[0]) if found else None
    if first is None:
        raise ValueError("no node")
    platforms = [one.platform for one in found]
    keys = dict.fromkeys(key for one in platforms for key in one)
    return Measured(
        node=", ".join(by_node) if len(found) <= 4 else f"{len(found)} nodes",
        time=min((one.time for one in found if one.time), default=0.0),
        took_s=max(one.took_s for one in found),
        how=min((one.how for one in found), key=lambda how: HOWS.index(how) if how in HOWS else 0),
        machine=first.machine,
        target=first.target,
        checks=made,
        left=sorted({name for one in found for name in one.left}),
        wanted=sorted({name for one in found for name in one.wanted}),
        platform={key: different(one.get(key, "") for one in platforms) for key in keys},
    )


def different(words: Iterable[str]) -> str:
    """
    >>> different(["aws", "aws", "", "gcp"])
    'aws, gcp'
    """
    return ", ".join(dict.fromkeys(filter(None, words)))

"""May a job of several ranks start with this cache?"""

from collections.abc import Mapping, Sequence

import msgspec

from diagnose.caching import notes, places
from diagnose.caching.archive import Limits
from diagnose.caching.manifest import Provenance, Refused, differences, entries
from diagnose.caching.places import Cache, Measured

NEXT = (
    "diagnose cache seed --from PLACE (--replace what is in it), or one run without the gate and time enough"
)


class Threshold(msgspec.Struct, frozen=True):
    """What a cache must hold at least, and who says so."""

    num_entries: int
    num_bytes: int
    learnt_from: str
    provenance: Provenance | None = None  # what the cache was of then


class Gate(msgspec.Struct, frozen=True):
    """`is_open` is None where it cannot be told; `why` it is not open: cold, foreign or unreadable."""

    is_open: bool | None
    why: str
    reason: str
    num_entries: int
    num_bytes: int
    threshold: Threshold


def threshold(
    cache: Cache, lane: str, limits: Limits, num_entries: int | None = None, num_bytes: int | None = None
) -> Threshold:
    """The operator's own numbers, else a share of what the lane's last good run left, else the playbook's."""
    good, seed = notes.goods(cache).get(lane), notes.seed(cache)
    if num_entries is not None or num_bytes is not None:
        of = good.provenance if good else seed.manifest.provenance if seed else None
        return Threshold(num_entries or 0, num_bytes or 0, "given", of)
    if good and (seed is None or good.time >= seed.time):
        least = int(good.num_entries * limits.share), int(good.num_bytes * limits.share)
        return Threshold(*least, f"{limits.share:.0%} of what the good run {good.run} left", good.provenance)
    if seed:
        least = int(seed.manifest.num_entries * limits.share), int(seed.manifest.num_bytes * limits.share)
        source = f"{limits.share:.0%} of what {seed.source} holds"
        return Threshold(*least, source, seed.manifest.provenance)
    return Threshold(
        limits.min_entries, limits.min_bytes, "nothing learnt of this lane: the playbook's least"
    )


def decide(
    measured: Measured, least: Threshold, here: Provenance | None, allowed: Sequence[str] = ()
) -> Gate:
    """Hold what is there against the threshold, and what it is of against this host."""

    def answer(is_open: bool | None, reason: str, why: str = "") -> Gate:
        return Gate(is_open, why, reason, measured.num_entries, measured.num_bytes, least)

    found = entries(measured.num_entries)
    if measured.error:
        return answer(None, f"the cache cannot be read: {measured.error}", "unreadable")
    if measured.num_entries < least.num_entries:
        return answer(False, f"{found}, {least.num_entries} are needed", "cold")
    if measured.num_bytes < least.num_bytes:
        return answer(False, f"{measured.num_bytes} bytes, {least.num_bytes} are needed", "cold")
    if least.provenance and here:
        kinds = {kind: row["entries"] for part in measured.parts for kind, row in part.kinds.items()}
        if wrong := differences(least.provenance, here, kinds, allowed):
            return answer(False, f"it was made for something else: {'; '.join(wrong)}", "foreign")
    return answer(True, f"{found}, {least.num_entries} are needed")


def ask(
    measured: Measured,
    least: Threshold,
    environ: Mapping[str, str],
    python: str,
    image: str = "",
    allowed: Sequence[str] = (),
) -> Gate:
    """Decide. What this host is like is only asked where it was learnt what the cache is of."""
    try:
        here = places.provenance(environ, python, image) if least.provenance else None
    except Refused as error:
        return decide(msgspec.structs.replace(measured, error=str(error)), least, None)
    return decide(measured, least, here, allowed)

"""`diagnose run --cache-gate`: a cold cache starts nothing, a good run teaches its lane."""

import msgspec

from diagnose.caching import notes
from diagnose.caching.places import Cache
from tests.caching.conftest import lay

START = ("run", "--cache-gate", "--lane", "benchmark", "--")


def test_a_cold_cache_starts_nothing_and_a_warm_one_is_remembered(place):
    folder = place.path / "cache"
    place.environ |= {"TORCHINDUCTOR_CACHE_DIR": str(folder), "TRITON_CACHE_DIR": ""}
    place.environ |= {"HOME": str(place.path)}
    refused = place.run(*START, "touch", "started")
    assert refused.returncode == 126 and not (place.path / "started").exists()
    assert b"too cold for several ranks" in refused.stderr and b"diagnose cache seed" in refused.stderr
    state = msgspec.json.decode((place.folder / "manifest.json").read_bytes())
    assert state["state"] == "error" and "0 entries, 5 are needed" in state["transitions"][-1]["reason"]
    lay(folder)
    done = place.run(*START, "touch", "started")
    assert done.returncode == 0 and (place.path / "started").exists(), done.stderr
    assert b"5 entries, 5 are needed (nothing learnt" in done.stderr
    good = notes.goods(Cache(inductor=folder, triton=None))["benchmark"]
    assert good.num_entries == 5 and good.provenance.python
    assert place.processes() == []

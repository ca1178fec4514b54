"""Whether the compile cache is warm enough for several ranks to start together, and was made for this GPU."""

from collections import Counter

from probes.checking import caches
from probes.checking.check import Check, Measurement, Target, measured

CHECK = Check(limit_s=20.0, asks={"compile_cache_bytes": "size of the compile cache of a good run"})
ARCHES = {"A100": "80", "A10": "86", "L4": "89", "L40S": "89", "H100": "90", "H200": "90", "B200": "100"}
WARM = ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")


def measure(target: Target) -> list[Measurement]:
    """Triton writes beside each kernel for which GPU it was compiled; Inductor's own files do not tell."""
    places = caches.folders(target.environ)
    paths = list(dict.fromkeys(places[name] for name in WARM))
    seen = [one for path in paths if (one := caches.look(path)) is not None]
    arches: Counter[str] = sum((Counter(one["arches"]) for one in seen), Counter())
    size, wanted = sum(one["size_bytes"] for one in seen), target.settings.get("compile_cache_bytes")
    wants = ARCHES.get(target.gpu.rstrip("!").upper().split("-")[0], "")
    return [
        measured(
            "compile cache",
            ", ".join(paths),
            num_files=sum(one["num_files"] for one in seen),
            size_bytes=size,
            size_per_wanted=round(size / wanted, 3) if wanted else None,
            num_ranks=target.num_ranks or None,
            num_gpus=target.num_gpus,
            num_kernels=sum(arches.values()),
            num_of_this_gpu=arches[wants] if wants and arches else None,
            made_for=", ".join(f"sm_{arch}" for arch in sorted(arches)),
        )
    ]

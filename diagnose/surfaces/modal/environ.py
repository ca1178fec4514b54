"""The environment of the command in a container: where we, its volumes, caches and cluster are found."""

import os
from pathlib import Path
from typing import Any

import diagnose
from diagnose.surfaces.modal import cluster


def variables(spec: dict[str, Any], node: cluster.Node | None) -> dict[str, str]:
    """All of it. Which volume is mounted where, the container itself may not show."""
    mounts = ":".join(f"{volume}={path}" for volume, path in spec.get("mounts") or ())
    return {
        **os.environ,
        **(cluster.variables(node, os.environ) if node else {}),
        **({"DIAGNOSE_VOLUMES": mounts} if mounts else {}),
        **cache_places(str(spec.get("cache") or "")),
        **own_place(),
    }


def own_place() -> dict[str, str]:
    """Where we lie beside the program, not installed, Python has to be told."""
    home = Path(diagnose.__file__).parent.parent
    if home.name in {"site-packages", "dist-packages"}:
        return {}
    path = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
    return {"PYTHONPATH": os.pathsep.join(dict.fromkeys([str(home), *path]))}


def cache_places(mount: str) -> dict[str, str]:
    """Where compilers cache on a volume; below the mount, which itself cannot be replaced in one step."""
    if not mount:
        return {}
    return {"TORCHINDUCTOR_CACHE_DIR": f"{mount}/inductor", "TRITON_CACHE_DIR": f"{mount}/inductor/triton"}

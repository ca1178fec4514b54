"""Hands a run to Modal: app, image, function, and one detached call of it.

The manifest is written before, inside and after: whatever interrupts us, the run can be found again.
"""

import importlib.metadata
import re
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import modal

from diagnose import manifest
from diagnose.surfaces.modal import body
from diagnose.surfaces.modal.outcome import one_line
from diagnose.surfaces.modal.settings import CACHE, CODE, MOUNT, Settings, app_name
from diagnose.surfaces.modal.wheel import NAME, wheel

WHEELS = "/opt/diagnose"  # where in an image our wheel lies
NO_CODE = ["**/__pycache__", "**/*.pyc", "**/.git", "**/.venv", "**/node_modules"]
NOBODY: dict[str, object] = {"node": "", "boot": "", "pid": None, "start_ticks": None}  # no parent, anywhere


class NotLaunched(Exception):
    """Modal did not take it. The message is one line."""


class Launched(NamedTuple):
    app_id: str
    call_id: str
    dashboard: str


def requirements() -> list[str]:
    """What `diagnose` itself needs, in the versions that are here. In a container nobody asks."""
    try:
        lines = importlib.metadata.requires(NAME) or []
    except importlib.metadata.PackageNotFoundError:
        if modal.is_local():
            raise
        return []
    names = [re.split(r"[<>=!~;\[ ]", line)[0] for line in lines if "extra ==" not in line]
    return [f"{name}=={importlib.metadata.version(name)}" for name in names]


def equipped(base: modal.Image, *more: str) -> modal.Image:
    """An image with what `diagnose` needs, `more` packages, and us: one wheel, in its own layer."""
    base = base.uv_pip_install(*requirements(), *more)
    ours = wheel() if modal.is_local() else Path("/nowhere.whl")  # in a container nobody asks
    there = f"{WHEELS}/{ours.name}"
    return base.add_local_file(ours, there, copy=True).uv_pip_install(there, extra_options="--no-deps")


def image(settings: Settings) -> modal.Image:
    """The user's image, or a plain one, with what we need, and the user's code."""
    if settings.image:
        base = modal.Image.from_registry(settings.image, add_python=settings.python or None)
    else:
        base = modal.Image.debian_slim(python_version=settings.python or None)
    base = equipped(base, *settings.pip)
    without = [*NO_CODE, *filter(None, [settings.code_without])]
    return base.add_local_dir(settings.code, CODE, ignore=without) if settings.code else base


def build(settings: Settings, name: str) -> "tuple[modal.App, Any]":
    """The app and its one function. Asks Modal nothing."""
    app = modal.App(app_name(name))
    volumes: dict[Any, Any] = {
        MOUNT: modal.Volume.from_name(settings.volume, create_if_missing=True, version=2),
        **{
            one.path: modal.Volume.from_name(
                one.volume, create_if_missing=one.path == CACHE
            ).with_mount_options(read_only=one.is_read_only)
            for one in settings.mounts
        },
    }
    asked: dict[str, Any] = {
        "gpu": settings.gpu,
        "cpu": settings.cpu,
        "memory": settings.memory,
        "startup_timeout": settings.startup_timeout_s,
        "region": settings.region,
        "cloud": settings.cloud,
    }
    if settings.rdma and settings.cloud == "aws":
        asked["experimental_options"] = {"efa_enabled": True}
    job: Any = body.job
    if settings.nodes > 1:
        job = modal.clustered(size=settings.nodes, rdma=settings.rdma)(job)
    function = app.function(
        image=image(settings),
        timeout=settings.timeout_s,
        volumes=volumes,
        secrets=[modal.Secret.from_name(one) for one in settings.secrets],
        retries=0,
        single_use_containers=True,
        include_source=False,
        **{key: value for key, value in asked.items() if value},
    )(job)
    return app, function


def launch(run: Path, settings: Settings, spec: dict[str, Any]) -> Launched:
    """One detached call; its ids are in the manifest before this returns. Raises NotLaunched, OSError."""
    done: Launched | None = None
    try:
        app, function = build(settings, str(spec["name"]))
        with app.run(detach=True):
            with manifest.turn(run):
                manifest.update(run, app_id=app.app_id)
            call = function.spawn(spec)
            done = Launched(app.app_id or "", call.object_id, call.get_dashboard_url())
            handed_over(run, done)
    except Exception as error:
        if done is None:
            reason = one_line(error)
            with suppress(OSError):
                manifest.advance(run, "error", reason, outcome=kind(error))
            raise NotLaunched(reason) from error
    if done is None:  # the client swallows a Ctrl-C inside of the block
        manifest.advance(run, "error", "interrupted before Modal had the call")
        raise NotLaunched("interrupted before Modal had the call")
    return done


def handed_over(run: Path, done: Launched) -> None:
    """From here on this process is nothing to the run."""
    ids = {"app_id": done.app_id, "function_call_id": done.call_id, "dashboard": done.dashboard}
    with manifest.turn(run):
        manifest.advance(run, "detached", "handed to Modal", **ids, **NOBODY)


def kind(error: Exception) -> str:
    return "init_failure" if type(error).__name__ == "ImageBuildError" else "not_launched"

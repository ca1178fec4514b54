"""`diagnose modal launch` from its options to what it prints."""

import os
import secrets
import shlex
import shutil
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import msgspec

from diagnose import follow, manifest, playbook, provenance, runs
from diagnose.environment import launcher_flags
from diagnose.limits import limits
from diagnose.render.rows import clock
from diagnose.surfaces.modal import checks, settings, told
from diagnose.surfaces.modal.outcome import Outcome
from diagnose.surfaces.modal.settings import BadSetting, Mount, Offer, Settings
from probes.redact import redact, redact_argv, redact_value


class Asked(NamedTuple):
    """What is to be launched; `spec` goes to the container, as plain JSON."""

    settings: Settings
    spec: dict[str, Any]
    offer: Offer
    doubts: list[str]


# What only `launch` asks for.
ALONE: dict[str, Any] = {
    **{"name": "preflight", "stall_after": None, "on_stall": "keep"},
    **{"push_every": 2.0, "cache_gate": False, "lane": "", "preflight": None, "reduced": []},
    "sharing": None,
}
SPARE_S = 120  # beyond what the checks may take, until their container is ended


def asked(words: Sequence[str], given: Mapping[str, Any]) -> Asked:
    """From the command line of `launch`. Raises BadSetting."""
    folder = playbook.root()
    offer = playbook.read(folder / "modal.toml", Offer)
    wanted = Settings(
        gpu=settings.gpu(given["gpu"], offer),
        timeout_s=settings.seconds(given["timeout"]),
        volume=given["diagnostics"],
        startup_timeout_s=settings.seconds(given["startup_timeout"]) if given["startup_timeout"] else None,
        cpu=given["cpu"],
        memory=settings.memory(given["memory"]) if given["memory"] else None,
        image=given["image"],
        python=given["version"],
        pip=tuple(given["pip"]),
        mounts=mounts(given),
        secrets=tuple(given["secrets"]),
        region=given["region"],
        cloud=given["cloud"],
        nodes=given["nodes"],
        rdma=given["rdma"],
        code=given["code"] or "",
        code_without=inside(runs.root(given["root"]), given["code"]) if given["code"] else "",
    )
    checks.check(wanted, offer, words)
    name: str = given["name"] or PurePath(next((w for w in words if w.endswith(".py")), words[0])).stem
    spec = {
        "name": name,
        "command": list(words),
        "volume": wanted.volume,
        "mount": settings.MOUNT,
        "env": given["mode"],
        "mode": given["sharing"],
        "stall_after_s": given["stall_after"],
        "on_stall": given["on_stall"],
        "workdir": given["workdir"] or (settings.CODE if wanted.code else ""),
        "push_s": given["push_every"],
        "cache": settings.CACHE if given["cache_volume"] else "",
        "cache_gate": given["cache_gate"],
        "lane": given["lane"],
        "preflight": given["preflight"],
        "reduced": given["reduced"],
        "gpu": wanted.gpu,
        "memory_mib": wanted.memory[1] if wanted.memory else None,
        "timeout_s": wanted.timeout_s,
        "mounts": [[one.volume, one.path] for one in wanted.mounts],
    }
    return Asked(
        wanted, spec, offer, list(checks.doubts(wanted, offer, limits(), given["stall_after"], words))
    )


def asked_checks(
    words: Sequence[str], given: Mapping[str, Any], checks_given: Sequence[str], budget_s: float
) -> Asked:
    """The same of `modal preflight`; `checks_given` is for `diagnose preflight` there. Raises BadSetting.

    The timeout that was given is the job's: the checks' container has one of its own.
    """
    job = asked((), {**ALONE, **given})
    checks.check_nodes(job.settings, job.offer, launcher_flags(words) or {})
    mine = msgspec.structs.replace(job.settings, timeout_s=round(budget_s) + SPARE_S)
    more = {"command": [*words], "checks": [*checks_given], "job_timeout_s": job.settings.timeout_s}
    doubts = [
        *checks.of_timeout(job.settings.timeout_s, job.offer, limits(), None),
        *checks.of_container(job.settings, job.offer),
    ]
    return Asked(mine, {**job.spec, **more, "timeout_s": mine.timeout_s}, job.offer, doubts)


def gpu(text: str) -> str:
    """A GPU as Modal writes it. Raises BadSetting."""
    return settings.gpu(text, playbook.read(playbook.root() / "modal.toml", Offer))


def inside(folder: Path, code: str) -> str:
    """Where in the user's code a folder is, if it is in it."""
    here, top = folder.resolve(), Path(code).resolve()
    return here.relative_to(top).as_posix() if here != top and here.is_relative_to(top) else ""


def mounts(given: Mapping[str, Any]) -> tuple[Mount, ...]:
    """The volumes that were asked for, and the compile cache's. Raises BadSetting."""
    asked = tuple(map(settings.mount, given["mounts"]))
    name = given["cache_volume"]
    if name and not settings.NAME.fullmatch(name):
        raise BadSetting(f"{name}: no name of a volume")
    return (*asked, Mount(name, settings.CACHE)) if name else asked


def plan(what: Asked) -> Iterator[str]:
    """What would be asked of Modal, a line each."""
    wanted, spec = what.settings, what.spec
    base = wanted.image or f"debian_slim{f' with Python {wanted.python}' if wanted.python else ''}"
    memory = "request {}, limit {}".format(*map(size, wanted.memory)) if wanted.memory else "not set"
    rows = [
        ("app", settings.app_name(str(spec["name"]))),
        *([("checks", shlex.join(spec["checks"]))] if "checks" in spec else []),
        ("command", redact_argv(spec["command"]) or "none"),
        ("starts in", spec["workdir"] or "the image's own folder"),
        ("image", redact(", ".join([base, *wanted.pip]))),
        ("gpu", wanted.gpu or "none"),
        *([("nodes", nodes(wanted))] if wanted.nodes > 1 else []),
        ("cpu", f"{wanted.cpu:g} cores" if wanted.cpu else "not set"),
        ("memory", memory),
        ("timeout", f"{clock(wanted.timeout_s)}; no retries; a container for each attempt"),
        *([("job ends", f"{clock(spec['job_timeout_s'])} after it began")] if "checks" in spec else []),
        ("volumes", f"{wanted.volume} at {settings.MOUNT} (evidence, every {spec['push_s']:g} s)"),
        *(("", f"{m.volume} at {m.path}{' (read-only)' if m.is_read_only else ''}") for m in wanted.mounts),
        ("secrets", ", ".join(wanted.secrets) or "none"),
        (
            "where",
            ", ".join(part for part in (wanted.cloud, wanted.region) if part) or "wherever there is room",
        ),
        ("cost", price(wanted, what.offer)),
    ]
    for label, text in rows:
        yield f"{label:10}{text}"
    for line in what.doubts:
        yield f"{'note':10}{line}"


def nodes(wanted: Settings) -> str:
    how = "RDMA" if wanted.rdma else "TCP"
    return f"{wanted.nodes} containers of {wanted.gpu} each, {how} between them; the command runs in each"


def size(mib: int) -> str:
    """
    >>> size(65536), size(1500)
    ('64 GiB', '1500 MiB')
    """
    return f"{mib // 1024} GiB" if mib % 1024 == 0 else f"{mib} MiB"


def price(wanted: Settings, offer: Offer) -> str:
    hour = settings.cost(wanted, offer)
    if hour is None:
        return f"not known for {wanted.gpu} (prices of {offer.as_of})"
    most = hour * wanted.timeout_s / 3600
    more = "" if wanted.cpu and wanted.memory else ", CPU and memory that are used on top"
    return f"${hour:.2f} an hour, at most ${most:.2f} until the timeout (prices of {offer.as_of}){more}"


def start(what: Asked, root: str | None) -> Iterator[str]:
    """Make the run, hand it over, and say where it is. Raises BadSetting."""
    run, top = begin(what, root), runs.root(root)
    yield from hand_over(run, what, top)
    yield f"next       diagnose modal collect {where(run, top)} --follow"
    yield f"           diagnose modal logs {where(run, top)}"


def begin(what: Asked, root: str | None) -> Path:
    """Make the run's directory. Raises BadSetting, ModuleNotFoundError."""
    from diagnose.surfaces.modal import start as starting  # noqa: F401  (without the client nothing is made)

    top, name = runs.root(root), str(what.spec["name"])
    try:
        run = runs.create(top, f"{name}-{secrets.token_hex(2)}", time.time())  # on a volume for all
        manifest.begin(
            run,
            id=run.name,
            name=name,
            command=redact_argv(what.spec["command"]),
            surface="modal",
            kind="preflight" if "checks" in what.spec else "job",
            volume=what.settings.volume,
            node=socket.gethostname(),
            boot=follow.boot_id(),
            pid=os.getpid(),
            start_ticks=follow.start_ticks(os.getpid()),
            asked=redact_value(msgspec.to_builtins(what.settings)),
        )
    except OSError as error:
        raise BadSetting(f"cannot make a run directory in {top}: {error.strerror or error}") from None
    return run


def hand_over(run: Path, what: Asked, top: Path) -> Iterator[str]:
    """Have Modal take it, and say where it is. Raises BadSetting."""
    from diagnose.surfaces.modal import start as starting

    for line in what.doubts:
        yield f"note       {line}"
    try:
        done = starting.launch(run, what.settings, {**what.spec, **code(what.settings), "run": run.name})
    except starting.NotLaunched as error:
        end = manifest.read(run)
        if end is not None and end.outcome == "not_launched":
            shutil.rmtree(run, ignore_errors=True)  # nothing of it is anywhere
        elif end is not None:
            told.call_ended(run, Outcome(end.outcome, str(error)))
        raise BadSetting(f"not launched: {error}") from None
    yield f"run        {run.name}  in {top}"
    yield f"app        {done.app_id}"
    yield f"call       {done.call_id}"
    yield f"dashboard  {done.dashboard}"


def code(wanted: Settings) -> dict[str, Any]:
    """State of the code that is sent: where it runs there is no checkout."""
    folder = Path(wanted.code)
    return {"checkout": provenance.checkout((), folder=folder)} if wanted.code else {}


def where(run: Path, top: Path) -> str:
    """How the run is named on a command line from here."""
    return (
        run.name
        if top.resolve() == runs.root(None).resolve()
        else f"{run.name} --root {shlex.quote(str(top))}"
    )

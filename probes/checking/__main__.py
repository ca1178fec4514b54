"""Make the pre-flight checks, and print what they measured: `python -m probes.checking [NAME...]`."""

import argparse
import importlib
import json
import os
import pkgutil
import signal
import sys
import time
from collections.abc import Mapping, Sequence

import probes
from probes import checks, deadline
from probes.checking import lanes, machine, origin
from probes.checking.check import COSTS, LEVELS, Check, Target
from probes.checking.lanes import Work
from probes.emit import Log, open_log


class Refused(Exception):
    """The options fit no check. The message says which."""


def names() -> list[str]:
    """Every check there is."""
    return sorted(module.name for module in pkgutil.iter_modules(checks.__path__))


def chosen(given: Sequence[str]) -> list[Work]:
    """These checks, or all; with those they come after, or leave a finding to. Raises Refused."""
    known = names()
    if unknown := set(given) - set(known):
        raise Refused(f"no check {', '.join(sorted(unknown))}")
    modules = {name: importlib.import_module(f"probes.checks.{name}") for name in given or known}
    also = {name for module in modules.values() for name in (module.CHECK.after, module.CHECK.told_by)}
    for name in also - {"", *modules}:
        modules[name] = importlib.import_module(f"probes.checks.{name}")
    return [Work(name, module.CHECK, module) for name, module in modules.items()]


def target(given: dict[str, object]) -> Target:
    """What is to be looked at, from plain JSON; the environment is that of our caller. Raises Refused."""
    command = tuple(map(str, given.pop("command", None) or ()))  # type: ignore[call-overload]
    environ = {**job_environment(os.environ), **origin.prefix(command)}
    unknown = set(given) - set(Target._fields)
    if unknown:
        raise Refused(f"no such option: {', '.join(sorted(unknown))}")
    python = given.pop("python", "") or machine.interpreter(command, environ)
    return Target(environ, command, str(python), **given)  # type: ignore[arg-type]


def job_environment(ours: Mapping[str, str]) -> dict[str, str]:
    """Without the entry by which we find our own modules: beside them lie packages that the job has not."""
    first, _, rest = ours.get("PYTHONPATH", "").partition(os.pathsep)
    is_own = bool(first) and os.path.realpath(first) == os.path.dirname(os.path.realpath(probes.__path__[0]))
    kept = {name: value for name, value in ours.items() if name != "PYTHONPATH"}
    path = rest if is_own else ours.get("PYTHONPATH", "")
    return kept | ({"PYTHONPATH": path} if path else {})


def refusal(check: Check, here: machine.Machine, on: Target, without: set[str]) -> str:
    """Why a check is not made at all; empty where it is."""
    if left := without & set(check.cost):
        return f"left out: it {' and '.join(COSTS[one] for one in sorted(left))}"
    return machine.missing(check.needs, here, on)


def report(log: Log, works: Sequence[Work], on: Target, budget_s: float, without: set[str]) -> None:
    """Say what the machine is, and what became of every check."""
    here = machine.see()
    known = sorted({name for work in chosen([]) for name in work.check.asks}) if on.settings else []
    if strange := set(on.settings) - set(known):
        raise Refused(f"no check reads {', '.join(sorted(strange))}; known: {', '.join(known)}")
    told = {name: value for name, value in on._asdict().items() if name != "environ"}
    log.info("checks.begun", machine=here._asdict(), target=told)
    wanted: list[Work] = []
    for work in works:
        if LEVELS.index(work.check.level) > LEVELS.index(on.level):
            log.info("check.left", check=work.name, **about(work))
        elif why := refusal(work.check, here, on, without):
            is_chosen = bool(without & set(work.check.cost))
            log.info("check.made", check=work.name, **about(work), skip=why, took_s=0.0, chosen=is_chosen)
        else:
            wanted.append(work)
    by_name, begun = {work.name: work for work in wanted}, time.monotonic()
    for share in {work.check.shares for work in wanted} - {None}:
        share(on)  # type: ignore[misc]
    for said in lanes.run(wanted, on, budget_s - (time.monotonic() - begun)):
        if "took_s" in said:
            log.info("check.made", **said, **about(by_name[said["check"]]))
        else:
            log.info("check.started", **said)


def about(work: Work) -> dict[str, object]:
    return {"made_at": work.check.level, "needs": work.check.needs, "cost": work.check.cost}


def interrupt(signum: int, frame: object) -> None:
    raise KeyboardInterrupt


def main(argv: list[str] | None = None) -> int:
    """Make the pre-flight checks; prints event lines, which `diagnose preflight --from FILE` judges."""
    parser = argparse.ArgumentParser(prog="python -m probes.checking", description=main.__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="the checks (default: all)")
    parser.add_argument("--target", default="{}", metavar="JSON", help="what is to be run: Target's fields")
    parser.add_argument("--budget", type=float, default=60.0, metavar="S", help="seconds for all of them")
    parser.add_argument("--without", default="", metavar="COST,COST", help="leave out checks that cost this")
    parser.add_argument("--with-parent", action="store_true", help="end when our parent is killed")
    given = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, interrupt)
    if given.with_parent:
        deadline.end_with_parent(signal.SIGTERM)
    log, begun = open_log("checks"), time.monotonic()
    how = "ended"
    try:
        without = {word for word in given.without.split(",") if word}
        report(log, chosen(given.names), target(json.loads(given.target)), given.budget, without)
    except Refused as error:
        print(f"checks: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        how = "interrupted"
    log.info("checks.ended", how=how, took_s=round(time.monotonic() - begun, 3))
    return 0


if __name__ == "__main__":
    sys.exit(main())

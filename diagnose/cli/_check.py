"""`postmortem --check`: the claims of certificates, each with what the dumps say of it."""

from functools import partial
from pathlib import Path

import click
import msgspec

from diagnose import rechecking
from diagnose.audit import OK, OPEN, WRONG, Claim
from diagnose.cli import _print
from diagnose.model import named
from diagnose.render.rows import count, safe, short
from diagnose.verdict import Cause, Verdict

SCHEMA = "diagnose/check/1"
Tested = list[tuple[str, Cause | None, list[Claim]]]  # which verdict, which cause of it


def saved(run: Path) -> dict[str, Verdict | str]:
    """The verdict that lies in a run, or why it cannot be read; nothing where there is none."""
    path = run / "verdict.json"
    if not path.is_file():
        return {}
    try:
        return {"verdict.json": msgspec.json.decode(path.read_bytes(), type=Verdict)}
    except (OSError, msgspec.DecodeError, UnicodeError, RecursionError) as error:
        return {"verdict.json": str(error)[:200]}


def tested(path: Path, verdicts: dict[str, Verdict | str]) -> Tested:
    found: Tested = []
    for name, verdict in verdicts.items():
        if isinstance(verdict, str):
            found.append((name, None, [Claim(OPEN, "its certificates", name, verdict)]))
        else:
            claims = _print.read(partial(rechecking.recheck, path, verdict))
            found += [(name, cause, told) for cause, told in claims]
    return found


def exit_code(found: Tested) -> int:
    """0 every claim holds, 1 one does not, 3 there is none, or some cannot be checked."""
    outcomes = {claim.outcome for _, _, claims in found for claim in claims}
    return 1 if WRONG in outcomes else 0 if outcomes == {OK} else 3


def show(found: Tested, given: str, form: str, full: bool) -> int:
    """Print it to stdout; the exit code that says the same."""
    if form == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(document(found, given)), indent=1).decode())
        return exit_code(found)
    for name, cause, claims in found:
        title = (
            f"{named(cause.ranks)}: {cause.title}" if cause and cause.ranks else cause.title if cause else ""
        )
        click.echo(safe(f"{name}: {title}"))
        for claim in claims:
            where = f"  ({short(claim.where)})" if claim.where else ""
            click.echo(f"  {claim.outcome:17} {safe(claim.text)}{where}")
            if claim.why:
                click.echo(f"  {'':17} {safe(claim.why)}")
    outcomes = [claim.outcome for _, _, claims in found for claim in claims]
    parts = (f"{outcomes.count(one)} {one}" for one in (OK, WRONG, OPEN) if one in outcomes)
    click.echo(f"{count(len(outcomes), 'claim')}: {', '.join(parts)}" if outcomes else "nothing to check")
    return exit_code(found)


def document(found: Tested, given: str) -> dict[str, object]:
    claims = [
        {
            "verdict": name,
            "failure": cause.failure if cause else "",
            "ranks": cause.ranks if cause else [],
            **claim._asdict(),
        }
        for name, cause, told in found
        for claim in told
    ]
    return {"schema": SCHEMA, "bundle": given, "exit_code": exit_code(found), "claims": claims}

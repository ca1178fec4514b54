"""Show what would be set, changed and unset in a command's environment, and why; nothing is run."""

import os
from collections.abc import Iterator, Mapping, Sequence

import click

from diagnose.cli import _options

SCHEMA = "diagnose/env/1"


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@_options.policy("policy")
@_options.mode
@click.option("--explain", is_flag=True, help="Why, for what, in which versions; and what is left alone.")
@click.option("--format", "form", type=click.Choice(["terminal", "json"]), default="terminal")
@click.argument("command_line", nargs=-1, metavar="[[--] COMMAND...]", type=click.UNPROCESSED)
def command(mode: str, sharing: str | None, explain: bool, form: str, command_line: tuple[str, ...]) -> None:
    """What `diagnose run --env POLICY -- COMMAND` would change in the environment of this shell.

    A value of your own wins, and is reported. What is unset on one node has leaked there from a setting for
    several; to keep it, write it before the command: `diagnose run -- env NCCL_NET=Socket torchrun ...`.
    """
    if command_line and command_line[0].startswith("-") and command_line[0] != "--":
        raise click.UsageError(f"no such option: {command_line[0]}")
    words = command_line[1:] if command_line[:1] == ("--",) else command_line
    found = told(words, mode, sharing or "", os.environ)
    if form == "json":
        import msgspec

        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=1).decode())
        return
    for line in page(found, explain):
        click.echo(line)


def told(words: Sequence[str], policy: str, mode: str, environ: Mapping[str, str]) -> dict[str, object]:
    """The answer as plain data, secrets hidden."""
    import msgspec

    from diagnose import environment
    from diagnose.interpreter import assigned, interpreter, torch_version
    from probes.redact import redact_argv

    policies = environment.load(policy)
    given = assigned(words, environ)
    python = interpreter(words, given)
    torch = torch_version(python, given) if python else ""
    fill = {"spool": "SPOOL", "attempt": "1"}
    planned = environment.plan(words, environ, policies, fill, torch, mode)
    rows = {name: one for each in policies for n, one in each.variable.items() for name in (n, one.older)}

    def row(name: str) -> dict[str, object]:
        one = rows.get(name)
        if one is None:
            return {}
        return {"scope": environment.SCOPES[one.only], "since": one.since, "source": one.source}

    return {
        "schema": SCHEMA,
        "policy": policy,
        "command": redact_argv(list(words)),
        "python": str(python or ""),
        "torch": torch,
        "conditions": sorted(environment.conditions(words, given, mode)),
        "changes": [msgspec.to_builtins(environment.shown(c)) | row(c.name) for c in planned.changes],
        "left": [
            {"name": name, "reason": why, "why": rows[name].why} | row(name)
            for name, why in planned.left.items()
        ],
        "elsewhere": {name: why for each in policies for name, why in each.elsewhere.items()},
    }


def page(found: Mapping[str, object], explain: bool) -> Iterator[str]:
    """The same for people; ASCII control characters of values are shown, not sent."""
    torch = (
        f"torch {found['torch']}" if found["torch"] else "torch not known: the older names, which all read"
    )
    holds = found["conditions"]
    assert isinstance(holds, list)
    yield ", ".join([f"policy {found['policy']}", torch, *(one.replace("_", " ") for one in holds)])
    for one in listed(found, "changes"):
        value = "" if one["action"] == "unset" else f"={plain(one['value'])}"
        was = f"  (was {plain(one['before'])})" if one["before"] and one["action"] != "kept" else ""
        yield f"{one['action']:6}{plain(one['name'])}{value}{was}{'  (yours)' * (one['action'] == 'kept')}"
        if explain:
            yield from reasons(one)
    if not listed(found, "changes"):
        yield "nothing to change"
    for reason in dict.fromkeys(str(one["reason"]) for one in listed(found, "left")) if explain else ():
        names = [plain(one["name"]) for one in listed(found, "left") if one["reason"] == reason]
        yield f"left  {', '.join(names)}: {reason}"
    elsewhere = found["elsewhere"]
    assert isinstance(elsewhere, dict)
    for name, why in elsewhere.items() if explain else ():
        yield f"not   {name}: {why}"


def reasons(one: Mapping[str, object]) -> Iterator[str]:
    yield f"        {one['why']}"
    parts = [("for", one.get("scope")), ("in", one.get("since")), ("from", one.get("source"))]
    if said := [f"{word} {text}" for word, text in parts if text]:
        yield f"        {'; '.join(said)}"


def listed(found: Mapping[str, object], key: str) -> list[dict[str, object]]:
    rows = found[key]
    assert isinstance(rows, list)
    return rows


def plain(value: object) -> str:
    return "".join(c if c.isprintable() else "?" for c in str(value))

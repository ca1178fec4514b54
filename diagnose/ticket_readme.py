"""What stands at the head of a support bundle: ids, times and the verdict, in the order in which one asks."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from diagnose.model import Event, fold
from diagnose.playbook import Playbook
from diagnose.render import markdown
from diagnose.ticket import REDACTED, Ticket

MOST = 40  # rows of one table
UNKNOWN = "not known"
Row = tuple[str, str]
# What of a container's start says where it ran.
WHERE = ("region", "cloud_provider", "environment", "image_id", "input_id", "is_gvisor")


def readme(ticket: Ticket, book: Playbook, audience: str = "") -> str:
    """The text, Markdown. `audience`: `modal` puts first what its support asks for."""
    lines = [f"# Support bundle of {ticket.run}", ""]
    if audience == "modal":
        lines += ["## For Modal support", "", *table(modal(ticket))]
        lines += section("What the platform itself said", [f"- {line}" for line in said(ticket)])
    lines += section("Ids and times (UTC)", table(ids(ticket)))
    lines += section("Evidence that the verdict cites", list(evidence(ticket)))
    verdict = markdown.render(ticket.verdict, book)
    lines += [
        "## Verdict",
        "",
        *(f"#{line}" if line.startswith("#") else line for line in verdict.splitlines()),
        "",
    ]
    lines += section("What is in it", list(contents(ticket)))
    lines += section("What stayed behind", [f"- `{f.path}`: {f.left}" for f in ticket.files if f.left][:MOST])
    lines += section("What was hidden", list(hidden(ticket)))
    same = (
        "From this bundle alone it is the same."
        if ticket.is_same
        else "From this bundle alone it is NOT the same: what stayed behind is needed for it."
    )
    lines += section(
        "Read it again", ["Unpack it; `diagnose postmortem FOLDER` makes the verdict anew. " + same]
    )
    return "\n".join(lines).rstrip() + "\n"


def evidence(ticket: Ticket) -> Iterator[str]:
    for where, text, line in ticket.excerpts[:MOST]:
        yield f"- {markdown.escape(text)} (`{where}`)"
        if line:
            yield f"  - {markdown.code(line)}"


def section(title: str, lines: list[str]) -> list[str]:
    return [f"## {title}", "", *lines, ""] if lines else []


def table(rows: list[Row]) -> list[str]:
    return ["| what | value |", "|---|---|", *(f"| {name} | {cell(value)} |" for name, value in rows), ""]


def cell(value: str) -> str:
    return " ".join(value.split()).replace("|", "\\|") or UNKNOWN


def when(time: object) -> str:
    """
    >>> when(1795424041.25), when(None)
    ('2026-11-23 08:54:01Z', '')
    """
    try:
        return datetime.fromtimestamp(float(str(time)), UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return ""


def string(found: Mapping[str, object], key: str) -> str:
    value = found.get(key)
    return "" if value is None else str(value)


def ids(ticket: Ticket) -> list[Row]:
    found, run = ticket.manifest, ticket.verdict.run
    rows = [("run", ticket.run), ("command", string(found, "command")), ("state", string(found, "state"))]
    rows += [
        ("nodes", ", ".join(run.nodes) or string(found, "node")),
        ("ranks", string({"n": run.num_ranks}, "n")),
    ]
    rows += [("attempts", ", ".join(run.attempts))]
    past = found.get("transitions")
    for step in past if isinstance(past, list) else ():
        if isinstance(step, dict):
            reason = f" ({step['reason']})" if step.get("reason") else ""
            rows.append((string(step, "state"), when(step.get("time")) + reason))
    for cause in ticket.verdict.causes:
        rows.append(("cause", f"{cause.failure}, ranks {fold(cause.ranks) or 'none'}, {when(cause.since)}"))
    return rows


def modal(ticket: Ticket) -> list[Row]:
    """App, call, containers with their times and places, what was asked for, how the call ended."""
    found, asked = ticket.manifest, ticket.manifest.get("asked")
    rows = [("app id", string(found, "app_id")), ("function call id", string(found, "function_call_id"))]
    rows += [("dashboard", string(found, "dashboard"))]
    starts = {task(e): e for e in ticket.events if e.kind == "container.started"}
    for name in dict.fromkeys([*starts, *ticket.verdict.run.attempts]):
        rows.append((f"container {name}", span(ticket, name)))
        start = starts.get(name)
        told = [(key, string(start.data, key)) for key in WHERE] if start else []
        rows += [(f"  {key.replace('_', ' ')}", value) for key, value in told if value]
    wanted = asked if isinstance(asked, dict) else (next(iter(starts.values())).data if starts else {})
    for key in ("gpu", "cpu", "memory", "memory_mib", "timeout_s", "region", "cloud", "image"):
        if wanted.get(key):
            rows.append((f"asked: {key.replace('_', ' ')}", string(wanted, key)))
    return [*rows, ("outcome of the call", string(found, "outcome"))]


def task(event: Event) -> str:
    """The attempt of an event: on Modal, the id of its container."""
    parts = event.where.split("/")
    return parts[1] if parts[0] == "attempts" and len(parts) > 1 else ""


def span(ticket: Ticket, name: str) -> str:
    """When a container was first and last heard of, and how it ended."""
    mine = [e for e in ticket.events if task(e) == name]
    times = sorted(e.time for e in mine if e.time is not None)
    ends = [e for e in mine if e.kind in {"container.ended", "container.interrupted"}]
    how = f", {ends[-1].kind.replace('container.', '')}" if ends else ", no word of its end"
    return f"{when(times[0])} to {when(times[-1])}{how}" if times else ""


def said(ticket: Ticket) -> list[str]:
    """Events of the platform's, and its own log where that was fetched."""
    own = [
        e for e in ticket.events if e.source == "platform_log" and e.kind.startswith(("platform.", "gpu."))
    ]
    return [
        f"{when(e.time)} `{e.kind}` {cell(string(e.data, 'text'))[:300]} (`{e.where}`)" for e in own[:MOST]
    ]


def contents(ticket: Ticket) -> Iterator[str]:
    kept = [f for f in ticket.files if not f.left]
    yield f"{len(kept)} files of the run; lines that are cut are empty, so that places still hold."
    folders: dict[str, list[int]] = {}
    for f in kept:
        folders.setdefault(f.path.rpartition("/")[0] or ".", []).append(f.cleaned.num_cut if f.cleaned else 0)
    yield from (f"- `{name}`: {len(cuts)} files" + (f", {sum(cuts)} lines cut" if sum(cuts) else "")
                for name, cuts in sorted(folders.items())[:MOST])  # fmt: skip


def hidden(ticket: Ticket) -> Iterator[str]:
    yield (
        f"{ticket.num_hidden} places were hidden for this bundle, others when the run was written; "
        f"`{REDACTED}` lists both by file and line. Host names, addresses, paths and the program's own "
        "output are no secrets, and stay."
    )
    rows = [(f, f.cleaned.hidden) for f in ticket.files if f.cleaned and f.cleaned.hidden]
    for f, places in rows[:MOST]:
        at = ", ".join(str(one.line) for one in places[:20] if one.line)
        yield f"- `{f.path}`: {sum(one.num for one in places)}{f', lines {at}' if at else ''}"

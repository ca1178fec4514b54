"""Imports go one way. Read from the syntax trees, so that lazy imports count too."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TOP = Path(__file__).parent.parent
SHARED = {
    "probes.allowance",
    "probes.files",
    "probes.cache_kinds",
    "probes.cache_places",
    "probes.here",
    "probes.layout",
    "probes.procfs",
    "probes.redact",
    "probes.settings",
}  # leaves of the standard library alone

HOOK = "probes.rank_hook.diagnose_rank"
READER = {"diagnose.model", "diagnose.playbook", "diagnose.verdict"}


def ours(names: str) -> set[str]:
    return {f"diagnose.{name}" for name in names.split()}


LINES = {"diagnose.lines.*", *ours("messages")}  # known lines, and how to ask a text for them
WORDS = {*LINES, *ours("rendezvous nccl")}  # what messages say, for logs and for exceptions
FILES = ours(
    "anchors days dressing dumps failure_table frontiers json_lines log_signs logs naming native ras_json "
    "ras_text sandboxes signatures stamps suspects text tracebacks undressing values wrappers"
)  # helpers that read one
# Readings of the evidence that several facts share: each may import the model, words, and those before it.
READINGS = (
    *(
        "native",
        "resuming",
        "moments",
        "looks",
        "endings",
        "fingerprints",
        "histories",
        "scans",
        "behind",
        "tellings",
        "watchdogs",
        "nccl_calls",
    ),
    *(
        "losses",
        "joining",
        "raisings",
        "stackframes",
        "filelocks",
        "activity",
        "compiling",
        "places",
        "starting",
    ),
    *(
        "waiting",
        "heads",
        "circles",
        "meeting",
        "reaching",
        "communicators",
        "transfers",
        "waitgraph",
        "calls",
        "certifying",
    ),
    *("unheard", "standing", "leaving", "graphs", "asked", "ras_counts", "stall_checks", "disagreements"),
    *("strangers", "gpu_words", "containers", "outgrowing", "time_limits", "reduction", "gates"),
)
# What a module may import of this project: the longest name here that it begins with decides.
# `probes.*` and `diagnose.*` stand for everything below.
MAY: dict[str, set[str]] = {
    "diagnose": {"diagnose.*", *SHARED},
    "diagnose.model": set(),
    "diagnose.needs": set(),
    **dict.fromkeys(ours("certificate ground playbook scoring story"), ours("model")),
    "diagnose.coverage": ours("model resuming"),
    "diagnose.verdict": ours("model certificate contract"),
    "diagnose.messages": set(),
    "diagnose.lines": {"diagnose.lines", *ours("messages")},
    **{name: {"diagnose.model", *LINES} for name in ours("rendezvous nccl")},
    **{name: {"diagnose.model", *FILES, *WORDS} for name in (*FILES, "diagnose.sources")},
    **{
        f"diagnose.{name}": {
            "diagnose.model",
            "diagnose.certificate",
            "diagnose.limits",
            "diagnose.values",
            "diagnose.xids",
            *WORDS,
            *(f"diagnose.{one}" for one in READINGS[:num]),
        }
        for num, name in enumerate(READINGS)
    },
    "diagnose.xids": ours("model playbook"),  # a table of the playbook that facts read
    "diagnose.limits": ours("model playbook"),  # its numbers
    "diagnose.facts": {
        "diagnose.model",
        "diagnose.certificate",
        "diagnose.values",
        "diagnose.xids",
        *WORDS,
        *(f"diagnose.{name}" for name in READINGS),
    },
    "diagnose.explaining": {*READER, *ours("conclude judge")},
    "diagnose.contents": ours("model verdict"),
    "diagnose.merged": ours("model looks stackframes"),
    "diagnose.clocks": ours("model values"),
    "diagnose.processes": ours("model"),
    "diagnose.clusters": ours("coverage model values"),
    "diagnose.judge": READER,
    "diagnose.conclude": {*READER, *ours("certificate judge merged")},
    "diagnose.drilling": ours("model ground needs scoring story"),
    "diagnose.render": {*READER, "diagnose.certificate", "diagnose.render.*"},
    "diagnose.preflight.book": ours("model playbook"),
    "diagnose.preflight.measured": ours("model"),
    "diagnose.preflight.joining": ours("preflight.measured"),
    "diagnose.preflight.report": ours("model preflight.measured"),
    "diagnose.preflight.judging": ours("model preflight.book preflight.measured preflight.report"),
    "diagnose.render.links": ours("preflight.report render.rows"),
    "diagnose.render.timeline": ours("model render.rows"),
    "diagnose.render.checks": ours("model preflight.report render.links render.rows render.timeline"),
    "diagnose.render.junit": ours("preflight.report render.checks render.rows"),
    "diagnose.comparison": set(),
    "diagnose.differing": {*ours("flags model"), "probes.redact"},
    "diagnose.flags": set(),
    "diagnose.measuring": ours("comparison differing model"),
    "diagnose.render.comparison": ours("comparison model playbook render.rows"),
    "diagnose.cli": {"diagnose.*", *SHARED},
    "probes": {"probes.*"},
    "probes.rank_hook": {f"{HOOK}.*", "diagnose_rank.*", "sitecustomize"},  # the one it hides
}


def modules() -> Iterator[tuple[str, Path]]:
    for package in ("diagnose", "probes"):
        for path in sorted((TOP / package).rglob("*.py")):
            if not {"drills", "trial"} & {*path.parts}:
                yield ".".join(path.relative_to(TOP).with_suffix("").parts).removesuffix(".__init__"), path


def imports(tree: ast.AST, name: str) -> Iterator[str]:
    """Full names of the project's own modules that a module imports, anywhere in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [node.module] if node.module else []
            if node.level:  # the hook's own package alone: it is also run under another name
                assert name.startswith(HOOK) and node.level == 1, f"{name}: relative import"
                base = [HOOK, *base]
            yield from (".".join([*base, alias.name]) for alias in node.names)


def own(target: str) -> str | None:
    """`diagnose.model.Event` -> `diagnose.model`; None for what is not ours."""
    parts = target.split(".")
    if parts[0] not in {"diagnose", "probes", "diagnose_rank", "sitecustomize"}:
        return None
    while len(parts) > 1 and not is_module(parts):
        parts.pop()
    return ".".join(parts)


def is_module(parts: list[str]) -> bool:
    return source_of(".".join(parts)).is_file()


def source_of(name: str) -> Path:
    """The file of one of our modules (which may not exist)."""
    parts = name.split(".")
    base = TOP / "probes" / "rank_hook" if parts[0] in {"diagnose_rank", "sitecustomize"} else TOP
    path = base.joinpath(*parts)
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def allowed(name: str, target: str) -> bool:
    rule = max((key for key in MAY if name == key or name.startswith(key + ".")), key=len)
    return any(target == m or (m.endswith(".*") and f"{target}.".startswith(m[:-1])) for m in MAY[rule])


@pytest.mark.parametrize(("name", "path"), [pytest.param(*pair, id=pair[0]) for pair in modules()])
def test_a_module_imports_only_what_its_layer_may(name: str, path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    targets = {target for found in imports(tree, name) if (target := own(found))} - {
        "diagnose",
        "probes",
        name,
    }
    wrong = sorted(target for target in targets if not allowed(name, target))
    assert not wrong, f"{name} imports {', '.join(wrong)}"


@pytest.mark.parametrize("folder", ["diagnose/sources", "diagnose/facts", "diagnose/lines", "probes/checks"])
def test_siblings_never_import_each_other(folder: str) -> None:
    package = folder.replace("/", ".")
    for path in (TOP / folder).glob("*.py"):
        found = {own(target) for target in imports(ast.parse(path.read_text(encoding="utf-8")), path.stem)}
        assert not {name for name in found if name and name.startswith(package + ".")}, path


def test_what_the_reader_shares_with_the_probes_is_the_standard_library_alone() -> None:
    todo, seen = list(SHARED), set()
    while todo:
        name = todo.pop()
        seen.add(name)
        for target in imports(ast.parse(source_of(name).read_text(encoding="utf-8")), name):
            if (ours := own(target)) is None:
                assert target.split(".")[0] in sys.stdlib_module_names, f"{name} imports {target}"
            elif ours not in seen:
                todo.append(ours)


def test_the_hook_imports_the_standard_library_alone() -> None:
    """Not even torch: that is the program's, and is reached through `sys.modules` once it is there."""
    for name, path in modules():
        if name.startswith("probes.rank_hook"):
            for target in imports(ast.parse(path.read_text(encoding="utf-8")), name):
                assert target.split(".")[0] in sys.stdlib_module_names or own(target), (
                    f"{name} imports {target}"
                )


def test_only_the_entry_point_imports_the_command_line() -> None:
    for name, path in modules():
        if not name.startswith("diagnose.cli") and name != "diagnose.__main__":
            found = imports(ast.parse(path.read_text(encoding="utf-8")), name)
            assert not [target for target in found if target.startswith("diagnose.cli")], name

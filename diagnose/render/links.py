"""GPUs, and what connects them: a matrix as `nvidia-smi topo -m` draws it, with the odd ones marked."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping

from diagnose.preflight.report import Report, Result, Subject
from diagnose.render.rows import Row, Section, safe

PAIR = re.compile(r"(?:(\S{1,200}) )?gpu (\d{1,4}) - gpu (\d{1,4})\Z")
WIDEST = 11  # GPUs in a matrix that fits 80 columns; of more only the odd pairs are shown
BAD = {"fail", "warn", "error"}
ODD = "!"  # behind a cell: what a terminal colours
Cells = Mapping[tuple[int, int], tuple[str, bool]]  # (GPU, GPU) -> what is shown, whether it is odd


def sections(report: Report, full: bool) -> list[Section]:
    """What was asked for and seen; NVML's matrix, and torch's where one is odd in it, or all is shown."""
    checks = {check.name: check for check in report.checks}
    rows = list(seen(report, checks.get("gpu_model")))
    by_nvml = nodes(checks.get("links"), "link")
    by_torch = nodes(checks.get("peer_access"), "can_access")
    for node in dict.fromkeys([*by_nvml, *by_torch]):
        nvml, torch = by_nvml.get(node), by_torch.get(node)
        named = f", {safe(node)}" if node else ""
        if nvml:
            rows += matrix(nvml, f"NVML{named}")
        if torch and (full or not nvml or any(is_odd for _, is_odd in torch.values())):
            rows += matrix(torch, f"torch, peer access{named}")
    return [Section("GPUS", rows)] if rows else []


def seen(report: Report, models: Result | None) -> Iterator[Row]:
    """`8 H100 asked for, 8 seen: NVIDIA H100 80GB HBM3`."""
    names = [str(part.values["gpu_model"]) for part in models.subjects if part.values] if models else []
    if not names:
        return
    target = report.measured.target
    asked = f"{target.num_gpus} {target.gpu or 'GPUs'} asked for, " if target.num_gpus else ""
    kinds = Counter(names).most_common()
    told = ", ".join(safe(name) if len(kinds) == 1 else f"{num} {safe(name)}" for name, num in kinds)
    yield Row(f"{asked}{len(names)} seen: {told}")


def nodes(check: Result | None, key: str) -> dict[str, Cells]:
    """Every pair that was measured, by node; the node has no name where it is alone."""
    pairs: dict[str, dict[tuple[int, int], Subject]] = {}
    for part in check.subjects if check else ():
        if found := PAIR.match(part.subject):
            pairs.setdefault(found[1] or "", {})[int(found[2]), int(found[3])] = part
    return {node: cells(mine, key) for node, mine in pairs.items()}


def cells(pairs: Mapping[tuple[int, int], Subject], key: str) -> Cells:
    """Odd: it crossed a threshold, or has not as many NVLinks as most."""
    texts = {pair: word(part, key) for pair, part in pairs.items()}
    linked = Counter(text for text in texts.values() if text.startswith("NV"))
    usual = linked.most_common(1)[0][0] if linked else ""
    return {
        pair: (text, pairs[pair].outcome in BAD or (text.startswith("NV") and text != usual))
        for pair, text in texts.items()
    }


def word(part: Subject, key: str) -> str:
    value = part.values.get(key)
    return safe(value)[:5] if isinstance(value, str) else "?" if value is None else "yes" if value else "no"


def matrix(found: Cells, title: str) -> Iterator[Row]:
    gpus = sorted({gpu for pair in found for gpu in pair})
    if len(gpus) > WIDEST:
        odd = [f"{one}-{other} {text}" for (one, other), (text, is_odd) in found.items() if is_odd]
        usual = Counter(text for text, is_odd in found.values() if not is_odd).most_common(1)
        yield Row(f"{title}: {len(found)} pairs" + (f", most {usual[0][0]}" if usual else ""))
        if odd:
            yield Row(" ".join(f"{part}{ODD}" for part in odd[:32]), role="matrix")
        return
    yield Row(f"{title}:")
    yield Row(" " * 6 + "".join(f"{gpu:<6}" for gpu in gpus), role="matrix")
    for one in gpus:
        yield Row(f"{one:>4}  " + "".join(f"{cell(found, one, other):<6}" for other in gpus), role="matrix")


def cell(found: Cells, one: int, other: int) -> str:
    if one == other:
        return "X"
    text, is_odd = found.get((min(one, other), max(one, other)), ("?", False))
    return text + ODD * is_odd

"""The playbook for people, in Markdown: a failure, a symptom's questions."""

from collections.abc import Iterable, Iterator, Sequence

from diagnose.playbook import Clause, Failure, Playbook, Tree

RISK = {
    "none": "no risk",
    "restarts_job": "restarts the job",
    "drains_node": "drains the node",
    "needs_hands": "needs hands",
}


def table(rows: Iterable[tuple[str, str]]) -> str:
    """`id  title` lines."""
    found = list(rows)
    wide = max((len(name) for name, _ in found), default=0)
    return "".join(f"{name:{wide}}  {title}\n" for name, title in found)


def failures(book: Playbook) -> str:
    """Every failure with its title: causes first."""
    order = {"root": 0, "aftermath": 1, "context": 2}
    ranked = sorted(book.failures.items(), key=lambda pair: (order[pair[1].role], pair[0]))
    return table((name, failure.title) for name, failure in ranked)


def symptoms(book: Playbook) -> str:
    return table((name, tree.title) for name, tree in book.trees.items())


def clauses(title: str, found: Sequence[Clause]) -> Iterator[str]:
    if found:
        yield from ("", f"## {title}", "", *(f"- {clause}" for clause in found))


def links(title: str, names: Iterable[str], book: Playbook) -> Iterator[str]:
    known = [f"- `{name}`: {book.failures[name].title}" for name in names if name in book.failures]
    if known:
        yield from ("", f"## {title}", "", *known)


def failure(name: str, book: Playbook) -> str:
    """One failure, whole."""
    one = book.failures[name]
    by = [other for other, failure in book.failures.items() if name in failure.explains]
    lines = [
        f"# {one.title}",
        "",
        f"`{name}`: {ROLE[one.role]}, about {ABOUT[one.scope]}; {STATUS[one.status]}.",
        "",
        one.summary.strip(),
        *clauses("Recognise it by", one.when),
        *clauses("Ruled out by", one.unless),
        *clauses("Confirmed by", one.confirm),
        *(
            ["", "## Easily mistaken for", "", *(f"- {text}" for text in one.lookalikes)]
            if one.lookalikes
            else []
        ),
        *remedies(one, book),
        *links("Explains", one.explains, book),
        *links("Explained by", by, book),
        *(["", "## References", "", *(f"- {text}" for text in one.references)] if one.references else []),
    ]
    return "\n".join(lines) + "\n"


ROLE = {"root": "a cause", "aftermath": "an aftermath, never a cause", "context": "context, never a cause"}
ABOUT = {"rank": "single ranks", "node": "a node", "job": "the whole job"}
STATUS = {"draft": "draft: not yet seen on real ranks", "proven": "proven on real ranks"}


def remedies(one: Failure, book: Playbook) -> Iterator[str]:
    if one.remedies:
        yield from ("", "## What to do")
    for num, remedy in enumerate((book.remedies[name] for name in one.remedies), start=1):
        yield from ("", f"{num}. **{remedy.title}** ({RISK[remedy.risk]})", "")
        yield from (f"   {line}" for line in remedy.do.strip().splitlines())
        yield from ("", f"   Verify: {' '.join(remedy.verify.split())}")


def order(tree: Tree) -> list[str]:
    """The questions as one meets them: `no` goes on, `yes` leads into a branch that follows."""
    seen: list[str] = []
    todo = [tree.start]
    while todo:
        at = todo.pop(0)
        if at in tree.node and at not in seen:
            seen.append(at)
            node = tree.node[at]
            todo = [node.no, *todo, node.yes]
    return seen


def leads(end: str, numbers: dict[str, int], book: Playbook) -> str:
    if end in numbers:
        return f"question {numbers[end]}"
    name = end.removeprefix("failure:")
    if name in book.failures:
        return f"**{book.failures[name].title}** (`diagnose explain {name}`)"
    return "the playbook has no further question" if end == "end" else f"`{name}`"


def tree(name: str, book: Playbook) -> str:
    """A symptom's questions, numbered, with where to look and where each answer leads."""
    one = book.trees[name]
    numbers = {node: num for num, node in enumerate(order(one), start=1)}
    lines = [f"# {one.title}"]
    for at, num in numbers.items():
        node = one.node[at]
        lines += ["", f"{num}. **{node.ask}**", f"   - look: {node.look}"]
        lines += [f"   - yes: {leads(node.yes, numbers, book)}", f"   - no: {leads(node.no, numbers, book)}"]
        lines += [f"   - answered by: {node.fact}"] if node.fact else []
    return "\n".join(lines) + "\n"

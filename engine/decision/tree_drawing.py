"""The rows of an outline -> text for a terminal, a Mermaid flowchart or a Graphviz digraph; and a reduced
decision tree -> JSON.

Every name of a policy goes through `visible`, and through the escapes of the language it is written into.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from textwrap import wrap
from typing import Any

from engine.decision.decision_tree import DrawnLeaf, DrawnNode
from engine.decision.outcomes import Place
from engine.decision.tree_outline import Result, Row
from engine.language.checked_policy import Rule
from engine.language.diagnostics import visible

WIDTH = 110
TITLE = "What leaves the house, and which rule says so"
MOST_NAMES = 2
"""Of rules that one box names."""
MOST_FIRSTS = 4


@dataclass(frozen=True, slots=True)
class Heading:
    """What a picture is of: the policy, the day it was drawn (ISO 8601), and the facts that are not asked
    about because they were given or held at rest."""

    policy: str
    date: str
    held: tuple[str, ...]


def text(rows: Sequence[Row], heading: Heading) -> str:
    """An indented tree, a question or what it comes to on each row; then where each rule stands."""
    lines = [f"{TITLE}: {visible(heading.policy)}, {heading.date}"]
    if heading.held:
        lines += wrap(f"held: {'; '.join(map(visible, heading.held))}", WIDTH, subsequent_indent="      ")
    lines += ["", *_tree_lines(rows), ""]
    places = [f"{visible(rule.name)} {place_of(rule)}" for rule in rules_of(rows)]
    listed = _folded(", ".join(map(_whole, places)), WIDTH - 7)
    lines += [f"{'rules' if not number else '':7}{line}" for number, line in enumerate(listed)]
    return "\n".join(line.rstrip() for line in lines)


def mermaid(rows: Sequence[Row]) -> str:
    """A Mermaid flowchart, as GitHub and many editors render it."""
    lines = ["flowchart LR"]
    for row in rows:
        if row.again is None:
            opening, closing = ('["', '"]') if row.results else ('{{"', '"}}')
            lines.append(f"  n{row.number}{opening}{'<br>'.join(map(_mermaid, _box(row)))}{closing}")
        if row.parent is not None:
            target = row.number if row.again is None else row.again
            lines.append(f'  n{row.parent} -->|"{_mermaid(row.branch)}"| n{target}')
    for name, fill in MERMAID_COLOURS.items():
        drawn = [f"n{row.number}" for row in rows if row.again is None and _colour(row) == name]
        if drawn:
            lines += [f"  classDef {name} {fill}", f"  class {','.join(drawn)} {name}"]
    return "\n".join(lines)


def dot(rows: Sequence[Row]) -> str:
    """A Graphviz digraph."""
    lines = ["digraph policy {", "  rankdir=LR;", '  node [fontname="sans-serif", shape=box, style=rounded];']
    for row in rows:
        if row.again is None:
            fill = DOT_COLOURS.get(_colour(row), "")
            lines.append(f"  n{row.number} [label={_quoted(_box(row))}{fill}];")
        if row.parent is not None:
            target = row.number if row.again is None else row.again
            lines.append(f"  n{row.parent} -> n{target} [label={_quoted([row.branch])}];")
    return "\n".join([*lines, "}"])


def json_values(root: DrawnNode | DrawnLeaf, scale: int) -> dict[str, Any]:
    """Every node of the reduced tree once, by number; leaves with chain and scores (see
    schemas/tree.schema.json)."""
    nodes: list[dict[str, Any]] = []
    for node in _each_once(root):
        match node:
            case DrawnLeaf(number, leaf):
                scores = [float(Decimal(total).scaleb(-scale)) for total in leaf.totals]
                nodes.append({"id": number, "chain": [model.key for model in leaf.chain], "scores": scores})
            case DrawnNode(number, fact, _, branches, conditions):
                ways = [
                    {"labels": list(labels), "condition": condition, "to": child.number}
                    for (labels, child), condition in zip(branches, conditions, strict=True)
                ]
                nodes.append({"id": number, "question": node.title, "fact": fact, "branches": ways})
    return {"version": 1, "root": root.number, "nodes": nodes}


# --- What every picture says ----------------------------------------------------------------------------


def place_of(rule: Rule) -> str:
    """`main.route:23`."""
    return f"{visible(rule.span.source.name)}:{rule.span.line}"


def rules_of(rows: Sequence[Row]) -> list[Rule]:
    """The rules that decide anywhere in a picture, each once, by name."""
    named = {rule.name: rule for row in rows for result in row.results for rule in result.rules}
    return [named[name] for name in sorted(named)]


def names_of(result: Result) -> str:
    """The rules that decide, as a picture names them: `context-window, no-dear-call +1`."""
    names = [visible(rule.name) for rule in result.rules] or ["there are no others"]
    return ", ".join(names[:MOST_NAMES]) + more_than_named(names)


def more_than_named(names: Sequence[object]) -> str:
    return f" +{len(names) - MOST_NAMES}" if len(names) > MOST_NAMES else ""


def head_of(result: Result) -> str:
    """`<= 8192: here`, or `here` outside a ladder."""
    return f"{visible(result.values)}: {result.place.value}" if result.values else result.place.value


def firsts_of(result: Result) -> str:
    """The models that come first, one of them for each task."""
    firsts = [visible(model) for model in result.firsts]
    return " or ".join(firsts[:MOST_FIRSTS]) + (" or ..." if len(firsts) > MOST_FIRSTS else "")


def question_of(row: Row) -> str:
    return f"{visible(row.question)}?"


def places_of(row: Row) -> list[Place]:
    """Where the tasks of a row go, in the order of the legend."""
    found = {result.place for result in row.results}
    return [place for place in Place if place in found]


# --- Text -----------------------------------------------------------------------------------------------


def _tree_lines(rows: Sequence[Row]) -> Iterator[str]:
    referred = {row.again for row in rows if row.again is not None}
    open_levels: list[bool] = []
    for row in rows:
        del open_levels[max(row.level - 1, 0) :]
        head = below = ""
        if row.parent is not None:
            stem = "".join("│  " if is_open else "   " for is_open in open_levels)
            head = stem + ("└─ " if row.last else "├─ ")
            open_levels.append(not row.last)
            below = stem + ("   " if row.last else "│  ")
        line = f"{visible(row.branch)}: " if row.branch else ""
        if row.again is not None:
            line += f"{question_of(row)} as at #{row.again}"
        elif row.cut:
            line += f"{question_of(row)} ... {_cut(row)}"
        elif row.results:
            line += f"{visible(row.question)} " if row.question else ""
            line += "; ".join(_whole(_said(result)) for result in row.results)
        else:
            line += question_of(row) + (f"  #{row.number}" if row.number in referred else "")
        folded = _folded(line, WIDTH - len(head))
        yield head + folded[0]
        opens = "│  " if not row.results and row.again is None else "   "
        for more in folded[1:]:
            yield f"{below}{opens}{more}"


def _cut(row: Row) -> str:
    """`here; out; refused (12 more rows)`: what a part that is not drawn comes to."""
    return f"{'; '.join(place.value for place in places_of(row))} ({row.cut} more rows)"


def _whole(words: str) -> str:
    """Words that are not torn apart at the end of a line."""
    return words.replace(" ", "\N{NO-BREAK SPACE}")


def _folded(line: str, width: int) -> list[str]:
    folded = wrap(line, width, break_long_words=False, break_on_hyphens=False)
    return [part.replace("\N{NO-BREAK SPACE}", " ") for part in folded]


def _said(result: Result) -> str:
    return f"{head_of(result)} [{names_of(result)}]"


# --- Mermaid and Graphviz -------------------------------------------------------------------------------

MERMAID_COLOURS = {
    "here": "fill:#dafbe1,stroke:#2da44e",
    "out": "fill:#fff1e5,stroke:#e16f24",
    "refused": "fill:#ffebe9,stroke:#cf222e",
    "mixed": "fill:#f6f8fa,stroke:#8c959f",
}
DOT_COLOURS = {
    "here": ', style=filled, fillcolor="#dafbe1"',
    "out": ', style=filled, fillcolor="#fff1e5"',
    "refused": ', style=filled, fillcolor="#ffebe9"',
    "mixed": ', style=filled, fillcolor="#f6f8fa"',
}


def _colour(row: Row) -> str:
    places = {"here" if result.place is Place.THEN_CLOUD else result.place.value for result in row.results}
    return "" if not places else places.pop() if len(places) == 1 else "mixed"


def _box(row: Row) -> list[str]:
    if not row.results:
        return [question_of(row)]
    if row.cut:
        return [question_of(row), _cut(row)]
    return [*([question_of(row)] if row.question else []), *map(_said, row.results)]


def _mermaid(words: str) -> str:
    """Text in quotes: whatever Mermaid or HTML would act on becomes a code."""
    safe = {" ", ",", ".", ":", "-", "_", "/", "?", "[", "]", "(", ")", "=", "%"}
    return "".join(
        character if character.isalnum() or character in safe else f"#{ord(character)};"
        for character in visible(words)
    )


def _quoted(lines: Sequence[str]) -> str:
    escaped = (visible(line).replace("\\", "\\\\").replace('"', '\\"') for line in lines)
    return '"' + "\\n".join(escaped) + '"'


def _each_once(root: DrawnNode | DrawnLeaf) -> Iterator[DrawnNode | DrawnLeaf]:
    seen = {root.number}
    stack = [root]
    while stack:
        node = stack.pop()
        yield node
        for _, child in reversed(node.branches) if isinstance(node, DrawnNode) else ():
            if child.number not in seen:
                seen.add(child.number)
                stack.append(child)

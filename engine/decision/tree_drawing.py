"""A reduced decision tree -> a picture of it: text, Mermaid, Graphviz dot, SVG or JSON.

A subtree that several branches share is drawn where it is first met and referred to by its number afterwards,
so that no picture is larger than the tree.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from html import escape
from typing import Any

from engine.decision.decision_tree import DrawnLeaf, DrawnNode
from engine.language.diagnostics import visible

Drawn = DrawnNode | DrawnLeaf
MOST_DEPTH = 200
MOST_MODELS = 4


def text(root: Drawn, depth: int | None = None) -> str:
    """An indented tree, questions and branches one a line."""
    return "\n".join(_text_lines(_outline(root, depth)))


def json_values(root: Drawn, scale: int) -> dict[str, Any]:
    """Every node once, by number; leaves with chain and scores (see schemas/tree.schema.json)."""
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


def mermaid(root: Drawn, depth: int | None = None) -> str:
    """A Mermaid flowchart, as GitHub and many editors render it."""
    lines = ["flowchart LR"]
    for row in _outline(root, depth):
        if row.again is None:
            opening, closing = ('{{"', '"}}') if row.is_question else ('["', '"]')
            lines.append(f"  n{row.number}{opening}{_mermaid(row.title)}{closing}")
        if row.parent is not None:
            target = row.number if row.again is None else row.again
            lines.append(f'  n{row.parent} -->|"{_mermaid(row.branch)}"| n{target}')
    return "\n".join(lines)


def dot(root: Drawn, depth: int | None = None) -> str:
    """A Graphviz digraph."""
    lines = ["digraph policy {", "  rankdir=LR;", '  node [fontname="sans-serif", shape=box, style=rounded];']
    for row in _outline(root, depth):
        if row.again is None:
            shape = "" if row.is_question else ", style=filled, fillcolor=white"
            lines.append(f"  n{row.number} [label={_quoted(row.title)}{shape}];")
        if row.parent is not None:
            target = row.number if row.again is None else row.again
            lines.append(f"  n{row.parent} -> n{target} [label={_quoted(row.branch)}];")
    return "\n".join([*lines, "}"])


# --- One outline for every picture ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the outline: a node where it is first met, or a reference (`again`) to where it was.

    `number` is unique to the row, `parent` the row it hangs on, `last` whether it is its parent's last
    branch.
    """

    number: int
    parent: int | None
    level: int
    branch: str
    title: str
    is_question: bool
    is_refusal: bool
    again: int | None
    last: bool


def _outline(root: Drawn, depth: int | None) -> list[Row]:
    rows: list[Row] = []
    first_met: dict[int, int] = {}
    limit = MOST_DEPTH if depth is None else min(depth, MOST_DEPTH)
    stack: list[tuple[Drawn, int | None, int, str, bool]] = [(root, None, 0, "", True)]
    while stack:
        node, parent, level, branch, last = stack.pop()
        number = len(rows)
        met = first_met.get(node.number) if isinstance(node, DrawnNode) else None
        cut = isinstance(node, DrawnNode) and level >= limit
        title = _title(node) if not cut else f"{visible(node.title)}? ..."  # type: ignore[union-attr]
        refusal = isinstance(node, DrawnLeaf) and not node.leaf.chain
        rows.append(
            Row(number, parent, level, branch, title, isinstance(node, DrawnNode), refusal, met, last)
        )
        if isinstance(node, DrawnNode) and met is None and not cut:
            first_met[node.number] = number
            for place, (labels, child) in enumerate(reversed(node.branches)):
                stack.append((child, number, level + 1, _labels(labels), place == 0))
    return rows


def _title(node: Drawn) -> str:
    if isinstance(node, DrawnNode):
        return f"{visible(node.title)}?"
    chain = [visible(model.key) for model in node.leaf.chain]
    if not chain:
        return "refused"
    more = f", and {len(chain) - MOST_MODELS} more" if len(chain) > MOST_MODELS else ""
    return ", ".join(chain[:MOST_MODELS]) + more


def _labels(labels: tuple[str, ...]) -> str:
    return " or ".join(map(visible, labels))


def _text_lines(rows: list[Row]) -> Iterator[str]:
    referred = {row.again for row in rows if row.again is not None}
    open_levels: list[bool] = []
    for row in rows:
        del open_levels[max(row.level - 1, 0) :]
        if row.parent is None:
            head = ""
        else:
            head = "".join("│  " if is_open else "   " for is_open in open_levels) + (
                "└─ " if row.last else "├─ "
            )
            open_levels.append(not row.last)
        if row.again is not None:
            body = f"{row.title} as at #{row.again}"
        elif row.is_question:
            body = row.title + (f"  #{row.number}" if row.number in referred else "")
        else:
            body = row.title
        arrow = "" if row.parent is None else f"{row.branch}: " if row.is_question else f"{row.branch} -> "
        yield f"{head}{arrow}{body}"


def _each_once(root: Drawn) -> Iterator[Drawn]:
    seen = {root.number}
    stack = [root]
    while stack:
        node = stack.pop()
        yield node
        for _, child in reversed(node.branches) if isinstance(node, DrawnNode) else ():
            if child.number not in seen:
                seen.add(child.number)
                stack.append(child)


# --- SVG ------------------------------------------------------------------------------------------------

ROW_HEIGHT = 30
CHARACTER = 6.6
GAP = 26


def svg(root: Drawn, depth: int | None = None) -> str:
    """A self-contained SVG: one column a level, one row a leaf, questions beside the middle of their
    branches."""
    rows = _outline(root, depth)
    children: dict[int, list[Row]] = {}
    for row in rows:
        if row.parent is not None:
            children.setdefault(row.parent, []).append(row)
    heights = _heights(rows, children)
    columns = _columns(rows)
    place: Callable[[Row], tuple[float, float]] = lambda row: (columns[row.level], heights[row.number])  # noqa: E731
    shapes: list[str] = []
    for row in rows:
        x, y = place(row)
        if row.parent is not None:
            parent = rows[row.parent]
            px, py = place(parent)
            start, middle = px + _width(_format_row(parent)), x - GAP / 2 - _width(row.branch) - 8
            shapes.append(
                f'<path d="M{start:.0f} {py:.0f} C{middle:.0f} {py:.0f} {start:.0f} {y:.0f} '
                f'{middle:.0f} {y:.0f} H{x:.0f}"/>'
            )
            shapes.append(
                f'<text class="branch" x="{x - GAP / 2:.0f}" y="{y - 4:.0f}" text-anchor="end">'
                f"{escape(row.branch)}</text>"
            )
        kind = (
            "again"
            if row.again is not None
            else "question"
            if row.is_question
            else "refused"
            if row.is_refusal
            else "leaf"
        )
        shapes.append(
            f'<g class="{kind}">'
            f'<rect x="{x:.0f}" y="{y - 11:.0f}" width="{_width(_format_row(row)):.0f}" height="22" rx="5"/>'
            f'<text x="{x + 8:.0f}" y="{y + 4:.0f}">{escape(_format_row(row))}</text></g>'
        )
    wide = max(place(row)[0] + _width(_format_row(row)) for row in rows) + 20
    high = max(heights.values()) + ROW_HEIGHT
    return "\n".join(
        [
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide:.0f}" height="{high:.0f}" '
                f'viewBox="0 0 {wide:.0f} {high:.0f}">'
            ),
            (
                "<style>text{font:12px ui-monospace,Menlo,Consolas,monospace;fill:#1b1f24}"
                "path{fill:none;stroke:#8c959f}"
                ".branch{font-size:11px;fill:#57606a}.question rect{fill:#ddf4ff;stroke:#54aeff}"
                ".leaf rect{fill:#dafbe1;stroke:#4ac26b}.refused rect{fill:#ffebe9;stroke:#ff8182}"
                ".again rect{fill:#f6f8fa;stroke:#d0d7de;stroke-dasharray:3}</style>"
            ),
            f'<rect width="{wide:.0f}" height="{high:.0f}" fill="#fff"/>',
            *shapes,
            "</svg>",
        ]
    )


def _format_row(row: Row) -> str:
    if row.again is not None:
        return f"{row.title} as #{row.again}"
    return f"#{row.number} {row.title}" if row.is_question else row.title


def _width(words: str) -> float:
    return len(words) * CHARACTER * 1.1 + 16


def _heights(rows: list[Row], children: dict[int, list[Row]]) -> dict[int, float]:
    """Leaves take the next row; a question stands in the middle of its branches. Rows list parents before
    children."""
    heights: dict[int, float] = {}
    bottom = ROW_HEIGHT
    for row in rows:
        if row.number not in children:
            heights[row.number] = bottom
            bottom += ROW_HEIGHT
    for row in reversed(rows):
        below = children.get(row.number)
        if below:
            heights[row.number] = (heights[below[0].number] + heights[below[-1].number]) / 2
    return heights


def _columns(rows: list[Row]) -> list[float]:
    """Where each level begins: past the widest box before it and the widest branch label into it."""
    columns = [10.0]
    for level in range(1, max(row.level for row in rows) + 1):
        boxes = max(_width(_format_row(row)) for row in rows if row.level == level - 1)
        labels = max(_width(row.branch) for row in rows if row.level == level)
        columns.append(columns[-1] + boxes + labels + 2 * GAP)
    return columns


def _mermaid(words: str) -> str:
    return words.replace('"', "#quot;").replace("<", "#lt;").replace(">", "#gt;")


def _quoted(words: str) -> str:
    return '"' + words.replace("\\", "\\\\").replace('"', '\\"') + '"'

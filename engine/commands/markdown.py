"""Text of strangers -> Markdown that shows it and does nothing else.

Whatever comes from a policy, a log or a command line stands between backticks: no name becomes a heading, a
link, a mention or HTML there. What a page may hold is counted in bytes, and parts are left out whole.
"""

import re
from collections.abc import Iterable

from engine.language.diagnostics import visible

MOST_BYTES = 60_000
"""What a page may hold: less than the 65,536 characters that GitHub takes of a comment."""

_MOST_OF_A_NAME = 200


def code(text: str) -> str:
    """A text on one line between backticks, cut when it is long."""
    text = visible(text)
    if len(text) > _MOST_OF_A_NAME:
        text = text[: _MOST_OF_A_NAME - 3] + "..."
    return whole_code(text)


def whole_code(text: str) -> str:
    """As `code`, and never cut."""
    text = visible(text) or " "
    fence = "`" * (_longest_run(text) + 1)
    # One space at each end is taken away again where both have one.
    space = " " if text[0] in "` " or text[-1] in "` " else ""
    return f"{fence}{space}{text}{space}{fence}"


def codes(texts: Iterable[str], most: int = 8) -> str:
    """`a`, `b` and 3 more."""
    texts = list(texts)
    shown = ", ".join(code(text) for text in texts[:most])
    return shown if len(texts) <= most else f"{shown} and {len(texts) - most} more"


def block(lines: Iterable[str], language: str = "") -> str:
    """Lines as they are, in a block of their own."""
    shown = [visible(line) for line in lines]
    fence = "`" * max(3, *(_longest_run(line) + 1 for line in shown), 0)
    return "\n".join((f"{fence}{language}", *shown, fence))


def folded(summary: str, text: str) -> str:
    """Markdown that is shown when its summary, a text of ours, is clicked."""
    return f"<details><summary>{summary}</summary>\n\n{text}\n\n</details>"


def page(parts: Iterable[str], cut: str, most_bytes: int = MOST_BYTES) -> str:
    """The parts, a paragraph each, as far as they fit; `cut` says so in the place of the rest."""
    kept: list[str] = []
    left = most_bytes - len(cut.encode()) - 3
    for part in parts:
        left -= len(part.encode("utf-8", "replace")) + 2
        if left < 0:
            kept.append(cut)
            break
        kept.append(part)
    return "\n\n".join(kept) + "\n"


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)

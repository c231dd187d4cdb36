"""A diagnostic -> the lines that show it to a person: the place, the text under it, notes and help.

Plain text unless a styler is handed in. Nothing of the author's reaches a terminal unescaped, and columns are
counted as a terminal shows them, so that the carets stand under what they mean also behind tabs and wide
characters.
"""

import unicodedata
from collections.abc import Callable
from typing import Literal, TypeAlias

from engine.language.diagnostics import Diagnostic, visible
from engine.language.source import Span

Part: TypeAlias = Literal["error", "warning", "info", "place", "caret", "note"]
Styler: TypeAlias = Callable[[Part, str], str]

_TAB = "    "
_ELLIPSIS = "..."


def plain(part: Part, text: str) -> str:
    """The styler that adds nothing."""
    return text


def render(diagnostic: Diagnostic, *, width: int = 100, style: Styler = plain) -> str:
    """The whole diagnostic, one trailing line break less than a paragraph."""
    level: Part = diagnostic.level.word  # type: ignore[assignment]
    spans = [diagnostic.span, *(note.span for note in diagnostic.notes)]
    margin = max(len(str(span.line)) for span in spans)
    lines = [f"{style(level, f'{level}[{diagnostic.slug}]')}: {diagnostic.message}"]
    lines += [f"{' ' * margin} {style('place', '-->')} {_place(diagnostic.span)}"]
    lines += _snippet(diagnostic.span, margin, width, level, style)
    for note in diagnostic.notes:
        label = f"{style('note', 'note')}: {visible(note.label)}"
        lines += [f"{' ' * margin}  = {label} {style('place', '-->')} {_place(note.span)}"]
        lines += _snippet(note.span, margin, width, "note", style)
    if diagnostic.help is not None:
        lines.append(f"{' ' * margin}  = {style('note', 'help')}: {diagnostic.help}")
    return "\n".join(lines)


def _place(span: Span) -> str:
    line, column = span.source.position(span.start)
    return f"{visible(span.source.name)}:{line}:{column}"


def _snippet(span: Span, margin: int, width: int, caret: Part, style: Styler) -> list[str]:
    if not span.source.text:
        return []
    line, column = span.source.position(span.start)
    bar = style("place", "|")
    shown, before, under = _excerpt(span, line, column, max(width - margin - 4, 20))
    return [
        f"{' ' * margin}  {bar}",
        f" {style('place', f'{line:>{margin}}')} {bar} {shown}".rstrip(),
        f"{' ' * margin}  {bar} {' ' * before}{style(caret, '^' * under)}",
    ]


def _excerpt(span: Span, line: int, column: int, width: int) -> tuple[str, int, int]:
    """The line as shown, cut around the span; how many columns come before the carets, and how many
    carets."""
    text = span.source.line_text(line)
    start = min(column - 1, len(text))
    end = min(max(span.end - span.start + start, start), len(text))
    # A long line is cut before it is measured, so that a megabyte on one line costs no more than a short one.
    first, last = max(start - width, 0), min(max(end, start) + width, start + 2 * width, len(text))
    cells = [_shown(character) for character in text[first:last]]
    before = sum(map(_columns, cells[: start - first]))
    under = sum(map(_columns, cells[start - first : end - first])) or 1
    shown = "".join(cells)
    if first == 0 and last == len(text) and _columns(shown) <= width:
        return shown, before, under
    return _cut(cells, start - first, width, before, under)


def _cut(cells: list[str], start: int, width: int, before: int, under: int) -> tuple[str, int, int]:
    """As much as fits, beginning where the carets still come within the first half."""
    dropped = 0
    while before > width // 2 and dropped < start:
        before -= _columns(cells[dropped])
        dropped += 1
    kept = "".join(cells[dropped:])
    prefix = _ELLIPSIS if dropped else ""
    room = width - len(prefix) - len(_ELLIPSIS)
    shown, columns = "", 0
    for character in kept:
        columns += _columns(character)
        if columns > room:
            shown += _ELLIPSIS
            break
        shown += character
    return prefix + shown, len(prefix) + before, max(min(under, room - before), 1)


def _shown(character: str) -> str:
    return _TAB if character == "\t" else visible(character)


def _columns(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )

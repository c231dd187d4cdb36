"""Text with the places where it may be broken -> lines of a bounded width.

Wadler's "A prettier printer", as far as one-line-or-broken groups and fills go. It knows nothing of policies.
Widths count code points.

A place can also be broken because something stands there that ends a line: a comment. Places are told apart
by how many characters stand before them, blank space apart (`weight`): that number is the same before and
after formatting, since formatting changes nothing but blank space.
"""

import re
from collections.abc import Container, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias, assert_never


@dataclass(frozen=True, slots=True)
class Break:
    """A place where a line may end; `flat` is what stands there when it does not."""

    flat: str = " "
    is_forced: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """All of its breaks, or none of them."""

    parts: tuple["Layout", ...]


@dataclass(frozen=True, slots=True)
class Fill:
    """Parts with a break between every two; each is taken only where the next part does not fit."""

    parts: tuple["Layout", ...]


@dataclass(frozen=True, slots=True)
class Nest:
    """Lines that begin inside begin further in."""

    columns: int
    parts: tuple["Layout", ...]


Layout: TypeAlias = str | Break | Group | Fill | Nest | tuple["Layout", ...]

LINE = Break()
CLAUSE = Break(is_forced=True)

_BLANK = re.compile(r'("(?:[^"\\\n]|\\.)*"?)|#[^\r\n]*|\s+')


def weight(text: str, start: int = 0, end: int | None = None) -> int:
    """How many characters of a stretch of policy text are neither blank space nor comment."""
    return len(_BLANK.sub(lambda match: match[1] or "", text[start:end]))


def lay_out(layout: Layout, width: int, forced: Container[int] = ()) -> str:
    """The lines, no wider than `width` where breaks allow it; broken wherever `forced` has the weight of what
    stands before."""
    marked, _, _ = _mark(layout, 0, forced)
    return _Writer(width).write(marked)


def _mark(layout: Layout, before: int, forced: Container[int]) -> tuple[Layout, int, bool]:
    """The layout with its forced breaks marked, the weight up to its end, and whether a break in it is
    forced."""
    match layout:
        case str():
            return layout, before + weight(layout), False
        case Break():
            is_forced = layout.is_forced or before in forced
            return Break(layout.flat, is_forced), before + weight(layout.flat), is_forced
        case _:
            parts: list[Layout] = []
            any_forced = False
            for part in layout if isinstance(layout, tuple) else layout.parts:
                marked, before, is_forced = _mark(part, before, forced)
                parts.append(marked)
                any_forced = any_forced or is_forced
            return _of(layout, tuple(parts)), before, any_forced


def _of(layout: "Group | Fill | Nest | tuple[Layout, ...]", parts: tuple[Layout, ...]) -> Layout:
    match layout:
        case Group():
            return Group(parts)
        case Fill():
            return Fill(parts)
        case Nest():
            return Nest(layout.columns, parts)
        case _:
            return parts


class _Writer:
    """The text so far, and the column it has come to."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._text: list[str] = []
        self._column = 0

    def write(self, layout: Layout) -> str:
        self._put(layout, 0, is_flat=False, after=0)
        return "".join(self._text)

    def _put(self, layout: Layout, indent: int, is_flat: bool, after: int) -> None:
        """`after` is how much will stand on the line behind what is put."""
        match layout:
            case str():
                self._text.append(layout)
                self._column += len(layout)
            case Break():
                if is_flat:
                    self._put(layout.flat, indent, is_flat, after)
                else:
                    self._text.append("\n" + " " * indent)
                    self._column = indent
            case Group(parts):
                self._row(parts, indent, is_flat or self._fits(layout, after), after)
            case Nest(columns, parts):
                self._row(parts, indent + columns, is_flat, after)
            case Fill(parts):
                self._fill(parts, indent, after)
            case tuple():
                self._row(layout, indent, is_flat, after)
            case _:
                assert_never(layout)

    def _row(self, parts: tuple[Layout, ...], indent: int, is_flat: bool, after: int) -> None:
        for place, part in enumerate(parts):
            behind = 0 if is_flat else _leading(islice(parts, place + 1, None), after)
            self._put(part, indent, is_flat, behind)

    def _fill(self, parts: tuple[Layout, ...], indent: int, after: int) -> None:
        for place, part in enumerate(parts):
            if isinstance(part, Break):
                following = parts[place + 1]
                behind = 0 if place + 2 < len(parts) else after
                fits = not part.is_forced and self._fits((part, following), behind)
                self._put(part, indent, fits, 0)
            else:
                self._put(part, indent, is_flat=False, after=0 if place + 1 < len(parts) else after)

    def _fits(self, layout: Layout, after: int) -> bool:
        flat = _flat_width(layout)
        return flat is not None and self._column + flat + after <= self._width


def _flat_width(layout: Layout) -> int | None:
    """The width on one line; None where a break is forced."""
    match layout:
        case str():
            return len(layout)
        case Break():
            return None if layout.is_forced else len(layout.flat)
        case _:
            total = 0
            for part in layout if isinstance(layout, tuple) else layout.parts:
                width = _flat_width(part)
                if width is None:
                    return None
                total += width
            return total


def _leading(parts: Iterable[Layout], after: int) -> int:
    """How wide is what follows on the same line, up to the next place where it may end."""
    total = 0
    for part in parts:
        if isinstance(part, Break):
            return total
        width, ended = _leading_width(part)
        total += width
        if ended:
            return total
    return total + after


def _leading_width(layout: Layout) -> tuple[int, bool]:
    match layout:
        case str():
            return len(layout), False
        case Break():
            return (0, True) if layout.is_forced else (len(layout.flat), False)
        case _:
            total = 0
            for part in layout if isinstance(layout, tuple) else layout.parts:
                if isinstance(part, Break):
                    return total, True
                width, ended = _leading_width(part)
                total += width
                if ended:
                    return total, True
            return total, False

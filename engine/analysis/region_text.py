"""A box of tasks -> the conditions that describe it, as a policy would write them."""

from collections.abc import Iterator
from decimal import Decimal

from engine.analysis.space import Axis, Box, Space
from engine.decision.cubes import OTHER
from engine.decision.facts import format_value
from engine.language.vocabulary import GIVEN, Kind


def conditions(space: Space, box: Box) -> Iterator[tuple[str, str]]:
    """Each fact that a box restricts, and the condition on it."""
    by_fact: dict[str, list[str]] = {}
    for number in sorted(box):
        axis, cells = space.axes[number], box[number]
        if cells & axis.domain != axis.domain:
            name = GIVEN[axis.fact].name
            by_fact.setdefault(name, []).append(_condition(name, axis, cells))
    return ((fact, " and ".join(parts)) for fact, parts in by_fact.items())


def _condition(fact: str, axis: Axis, cells: int) -> str:
    kind = GIVEN[axis.fact].kind
    if axis.element is not None:
        element = "any other" if axis.element == OTHER else axis.element
        return f"{fact} has {element}" if cells == 2 else f"not {fact} has {element}"
    chosen = [cell for cell in range(len(axis.values)) if cells >> cell & 1]
    if kind is Kind.FLAG:
        return fact if axis.values[chosen[0]] else f"not {fact}"
    if kind in (Kind.NAME, Kind.ORDERED):
        names = [str(axis.values[cell]) for cell in chosen]
        left_out = [str(axis.values[cell]) for cell in range(len(axis.values)) if cell not in chosen]
        if len(left_out) == 1 and len(names) > 1:
            return f"{fact} is not {left_out[0]}"
        return f"{fact} is {names[0]}" if len(names) == 1 else f"{fact} in [{', '.join(names)}]"
    return " or ".join(_stretch(fact, axis, first, last) for first, last in _runs(chosen))


def _runs(cells: list[int]) -> Iterator[tuple[int, int]]:
    first = last = cells[0]
    for cell in cells[1:]:
        if cell != last + 1:
            yield first, last
            first = cell
        last = cell
    yield first, last


def _stretch(fact: str, axis: Axis, first: int, last: int) -> str:
    parts = []
    is_whole = GIVEN[axis.fact].kind is not Kind.PERCENT
    if first > 0:
        value, side = axis.edges[first]
        # Whoever wrote `> 32k` meant 32,001 and up.
        if is_whole and value % 1000 == 1 and value > 1:
            parts.append(f"{fact} > {_number(value - 1, is_whole)}")
        else:
            parts.append(f"{fact} {'>' if side else '>='} {_number(value, is_whole)}")
    if last + 1 < len(axis.edges):
        value, side = axis.edges[last + 1]
        if is_whole and value % 1000:
            parts.append(f"{fact} <= {_number(value - 1, is_whole)}")
        else:
            parts.append(f"{fact} {'<=' if side else '<'} {_number(value, is_whole)}")
    return " and ".join(parts)


def _number(value: int | Decimal, is_whole: bool) -> str:
    if not is_whole:
        return format_value(Decimal(value))
    return f"{value // 1000}k" if value and value % 1000 == 0 else str(value)

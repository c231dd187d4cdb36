"""Cubes -> columns: for each fact, into which cell a value falls, and which cubes survive there.

Every fact is cut only at the constants some cube uses; names never mentioned share one cell. A set of cubes
is the bits of one int, so a decision is an AND of one mask a column, exact and without warm-up.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any

from engine.decision.cubes import LOWEST, OTHER, Cube, Edge, Interval, NameSet
from engine.decision.facts import INDEX
from engine.language.vocabulary import FACTS, GIVEN, Kind

MOST_REMEMBERED = 65_536
"""Values of one set fact, and combinations of cells, that are remembered before the memory starts afresh."""


def mask_of(bits: Iterable[int]) -> int:
    """An int with these bits set; linear in the highest bit, however many there are."""
    bits = list(bits)
    if len(bits) < 4:
        mask = 0
        for bit in bits:
            mask |= 1 << bit
        return mask
    array = bytearray(max(bits) // 8 + 1)
    for bit in bits:
        array[bit >> 3] |= 1 << (bit & 7)
    return int.from_bytes(array, "little")


def bits_of(mask: int) -> list[int]:
    """The set bits, lowest first."""
    bits = []
    while mask:
        low = mask & -mask
        bits.append(low.bit_length() - 1)
        mask ^= low
    return bits


@dataclass(frozen=True, slots=True)
class Branch:
    """One way out of a question: the cell it leads to, which is its place among the branches, and how people
    read it."""

    cell: int
    label: str


@dataclass(frozen=True, slots=True)
class Question:
    """What one node of the decision tree asks: a single-valued fact, or whether a set has an element.

    `masks[cell]` are the cubes that survive each branch, `touched` those that the question bears on.
    `between` says how a run of neighbouring cells of a number reads; it is None for everything else.
    """

    fact: str
    element: str | None
    between: Callable[[int, int], str] | None
    branches: tuple[Branch, ...]
    masks: tuple[int, ...]
    touched: int
    answer: Callable[[Any], int]

    @property
    def title(self) -> str:
        return self.fact if self.element is None else set_title(self.fact, (self.element,))

    def labels(self, cells: Sequence[int]) -> tuple[str, ...]:
        """How these branches read together, in order; neighbouring cells of a number as one stretch."""
        if self.between is None:
            return tuple(self.branches[cell].label for cell in cells)
        ends = [cell for cell in cells if cell + 1 not in cells]
        starts = [cell for cell in cells if cell - 1 not in cells]
        return tuple(self.between(first, last) for first, last in zip(starts, ends, strict=True))


def set_title(fact: str, elements: Sequence[str]) -> str:
    """`task.labels has pii`, `task.labels has any of pii, secret`."""
    names = ["any other" if element == OTHER else element for element in elements]
    return f"{fact} has {names[0]}" if len(names) == 1 else f"{fact} has any of {', '.join(names)}"


class Column:
    """One fact: `lookup(value)` is its cell, `mask(cell)` the cubes that survive in it.

    `table` is what `lookup` subscripts, where it does no more than that.
    """

    fact: str
    position: int
    lookup: Callable[[Any], Any]
    mask: Callable[[Any], int]
    table: Any = None

    def questions(self) -> Sequence[Question]:
        """What the decision tree may ask of this fact."""
        raise NotImplementedError


class _Remembered(dict[Any, Any]):
    """Values -> what `find` says of each, remembered."""

    def __init__(self, find: Callable[[Any], Any]) -> None:
        super().__init__()
        self._find = find

    def __missing__(self, value: object) -> Any:
        found = self._find(value)
        if len(self) >= MOST_REMEMBERED:
            self.clear()
        self[value] = found
        return found


class _Cells(dict[Any, int]):
    """Cells by value; every value that is not listed falls into one other cell."""

    def __init__(self, cells: Mapping[Any, int], other: int) -> None:
        super().__init__(cells)
        self._other = other

    def __missing__(self, value: object) -> int:
        return self._other


class NameColumn(Column):
    """A single-valued name fact, yes/no among them: a cell for each name mentioned and one for all others."""

    def __init__(
        self, fact: str, constraints: Sequence[tuple[int, NameSet]], full: int, closed: tuple[str, ...] | None
    ) -> None:
        self.fact, self.position = fact, INDEX[fact]
        if FACTS[fact].kind is Kind.FLAG:
            closed = ("yes", "no")
        mentioned = {name for _, names in constraints for name in names.members}
        self.names = sorted(mentioned) if closed is None else [name for name in closed if name in mentioned]
        self._others = None if closed is None else [name for name in closed if name not in mentioned]
        other = len(self.names)
        cells: dict[Any, int] = {name: cell for cell, name in enumerate(self.names)}
        inside: list[list[int]] = [[] for _ in range(len(self.names) + 1)]
        outside: list[list[int]] = [[] for _ in range(len(self.names) + 1)]
        for bit, names in constraints:
            # A closed fact never has a name outside its list, whatever an attribute of a model may be called.
            for name in names.members & cells.keys():
                (inside if names.inside else outside)[cells[name]].append(bit)
        confined = mask_of(bit for bit, names in constraints if names.inside)
        self.masks = [
            full & ~confined & ~mask_of(outside[cell]) | mask_of(inside[cell])
            for cell in range(len(self.names) + 1)
        ]
        self.touched = mask_of(bit for bit, _ in constraints)
        # What is known and not mentioned is listed too: looking it up then takes no detour.
        cells |= dict.fromkeys(self._others or (), other)
        if FACTS[fact].kind is Kind.FLAG:
            cells = {name == "yes": cell for name, cell in cells.items()}
        self.table = _Cells(cells, other)
        self.lookup = self.table.__getitem__
        self.mask = self.masks.__getitem__

    def questions(self) -> Sequence[Question]:
        labels = list(self.names)
        if self._others is None or len(self._others) > 3:
            labels.append("other")
        elif self._others:
            labels.append(" or ".join(self._others))
        branches = tuple(Branch(cell, label) for cell, label in enumerate(labels))
        return [
            Question(
                self.fact, None, None, branches, tuple(self.masks[: len(labels)]), self.touched, self.lookup
            )
        ]


class NumberColumn(Column):
    """A number fact, cut at the edges its intervals use."""

    def __init__(self, fact: str, constraints: Sequence[tuple[int, Interval]], full: int) -> None:
        self.fact, self.position = fact, INDEX[fact]
        ends: set[Edge] = set()
        for _, interval in constraints:
            ends.update(edge for edge in interval if edge is not None and edge != LOWEST)
        self.edges = sorted(ends)
        cell_from = {edge: cell for cell, edge in enumerate(self.edges, start=1)} | {LOWEST: 0}
        starts: list[list[int]] = [[] for _ in range(len(self.edges) + 1)]
        stops: list[list[int]] = [[] for _ in range(len(self.edges) + 1)]
        for bit, interval in constraints:
            starts[cell_from[interval.low]].append(bit)
            if interval.high is not None:
                stops[cell_from[interval.high]].append(bit)
        self.touched = mask_of(bit for bit, _ in constraints)
        alive = full & ~self.touched
        self.masks = []
        for began, ended in zip(starts, stops, strict=True):
            alive = (alive | mask_of(began)) & ~mask_of(ended)
            self.masks.append(alive)
        below = [value for value, side in self.edges if side == 0]
        above = [value for value, side in self.edges if side == 1]
        self.lookup = partial(bisect_right, below)
        if above:
            self.lookup = lambda value: bisect_right(below, value) + bisect_left(above, value)
        if FACTS[fact].kind is not Kind.TOKENS:  # so few values that come that each is remembered
            self.table = _Remembered(self.lookup)
            self.lookup = self.table.__getitem__
        self.mask = self.masks.__getitem__

    def questions(self) -> Sequence[Question]:
        branches = tuple(Branch(cell, self._label(cell, cell)) for cell in range(len(self.masks)))
        return [
            Question(self.fact, None, self._label, branches, tuple(self.masks), self.touched, self.lookup)
        ]

    def _label(self, first_cell: int, last_cell: int) -> str:
        """`< 8192`, `8192..32767`, `>= 100%`."""
        whole = FACTS[self.fact].kind is not Kind.PERCENT
        low = self.edges[first_cell - 1] if first_cell else None
        high = self.edges[last_cell] if last_cell < len(self.edges) else None
        if low is None and high is None:
            return "any"
        if whole:
            last = None if high is None else int(high[0]) - 1
            first = 0 if low is None else int(low[0])
            if last is None:
                return f">= {first}"
            return str(first) if first == last else f"<= {last}" if low is None else f"{first}..{last}"
        parts = [] if low is None else [f"{'>=' if low[1] == 0 else '>'} {_percent(low[0])}"]
        parts += [] if high is None else [f"{'<' if high[1] == 0 else '<='} {_percent(high[0])}"]
        return " and ".join(parts)


def _percent(value: int | Decimal) -> str:
    return f"{Decimal(value):f}%"


class SetColumn(Column):
    """A set fact: its cell is the set itself, less what nobody mentions."""

    def __init__(self, fact: str, constraints: Sequence[tuple[int, str, bool]], full: int) -> None:
        self.fact, self.position = fact, INDEX[fact]
        self._full = full
        wanted: dict[int, set[str]] = {}
        wanting: dict[str, list[int]] = {}
        unwanted: dict[str, list[int]] = {}
        for bit, element, present in constraints:
            if present:
                wanted.setdefault(bit, set()).add(element)
                wanting.setdefault(element, []).append(bit)
            else:
                unwanted.setdefault(element, []).append(bit)
        alone: dict[str, list[int]] = {}
        self._together: dict[str, list[tuple[int, frozenset[str]]]] = {}
        for bit, elements in wanted.items():
            if len(elements) == 1:
                alone.setdefault(next(iter(elements)), []).append(bit)
            else:
                for element in elements:
                    self._together.setdefault(element, []).append((1 << bit, frozenset(elements)))
        self._undemanding = full & ~mask_of(wanted)
        self._demanding = {element: mask_of(bits) for element, bits in wanting.items()}
        self._wanting = {element: mask_of(bits) for element, bits in alone.items()}
        self._rejecting = {element: mask_of(bits) for element, bits in unwanted.items()}
        self.elements = sorted({element for _, element, _ in constraints})
        self._mentioned = frozenset(self.elements)
        self.table = _Remembered(self._project)
        self.lookup = self.table.__getitem__
        self.mask = _Remembered(self._survivors).__getitem__

    def _project(self, value: frozenset[str]) -> frozenset[str]:
        """The elements that some cube mentions, and OTHER when that matters."""
        projected = value & self._mentioned
        if OTHER in self._mentioned and len(projected) < len(value):
            projected |= {OTHER}
        return projected

    def _survivors(self, cell: frozenset[str]) -> int:
        alive = self._undemanding
        for element in cell:
            alive |= self._wanting.get(element, 0)
            for bit, elements in self._together.get(element, ()):
                if elements <= cell:
                    alive |= bit
        for element in cell:
            alive &= ~self._rejecting.get(element, 0)
        return alive

    def questions(self) -> Sequence[Question]:
        branches = (Branch(0, "no"), Branch(1, "yes"))
        questions = []
        for element in self.elements:
            wanting = self._demanding.get(element, 0)
            rejecting = self._rejecting.get(element, 0)
            masks = (self._full & ~wanting, self._full & ~rejecting)
            questions.append(
                Question(
                    self.fact, element, None, branches, masks, wanting | rejecting, self._membership(element)
                )
            )
        return questions

    def _membership(self, element: str) -> Callable[[frozenset[str]], int]:
        project = self.lookup
        return lambda value: int(element in project(value))


def columns_of(cubes: Sequence[Cube], closed: Mapping[str, tuple[str, ...] | None]) -> tuple[Column, ...]:
    """A column for every fact that some cube asks, in the order of the fact table; bit i stands for cube i.

    `closed` lists the names a fact can have, where that is a closed list."""
    full = (1 << len(cubes)) - 1
    names: dict[str, list[tuple[int, NameSet]]] = {}
    numbers: dict[str, list[tuple[int, Interval]]] = {}
    sets: dict[str, list[tuple[int, str, bool]]] = {}
    for bit, cube in enumerate(cubes):
        for variable, constraint in cube.items():
            match variable, constraint:
                case str(), NameSet():
                    names.setdefault(variable, []).append((bit, constraint))
                case str(), Interval():
                    numbers.setdefault(variable, []).append((bit, constraint))
                case (str(fact), str(element)), bool():
                    sets.setdefault(fact, []).append((bit, element, constraint))
    columns: list[Column] = [NameColumn(fact, found, full, closed.get(fact)) for fact, found in names.items()]
    columns += [NumberColumn(fact, found, full) for fact, found in numbers.items()]
    columns += [SetColumn(fact, found, full) for fact, found in sets.items()]
    order = [fact.name for fact in GIVEN]
    return tuple(sorted(columns, key=lambda column: order.index(column.fact)))

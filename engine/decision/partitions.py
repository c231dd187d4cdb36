"""Cubes -> columns: for each fact, into which cell a value falls, and which cubes survive there.

Every fact is cut only at the constants some cube uses; names never mentioned share one cell. A set of cubes
is the bits of one int, so a decision is an AND of one mask a column, exact and without warm-up.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from engine.decision.condition_text import (
    Stretch,
    class_of,
    names_condition,
    number_labels,
    numbers_condition,
    set_condition,
    set_title,
)
from engine.decision.cubes import OTHER, Cube, Interval, NameSet
from engine.decision.facts import INDEX
from engine.language.vocabulary import FACTS, GIVEN, HIGHEST, Kind

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
    `reads` says how some branches read that lead the same way.
    """

    fact: str
    element: str | None
    reads: Callable[[Sequence[int]], "Reading"]
    branches: tuple[Branch, ...]
    masks: tuple[int, ...]
    touched: int
    answer: Callable[[Any], int]

    @property
    def title(self) -> str:
        return self.fact if self.element is None else set_title(self.fact, (self.element,))


@dataclass(frozen=True, slots=True)
class Reading:
    """How an edge of the tree reads: behind the name of its fact, and as a condition to be pasted into a
    policy. Both say exactly which tasks take it."""

    labels: tuple[str, ...]
    condition: str


def set_reading(fact: str, elements: Sequence[str], cells: Sequence[int]) -> Reading:
    """The answer to whether a set has some of these elements: no (0) or yes (1)."""
    if 1 in cells:
        return Reading(("yes",), set_title(fact, elements))
    return Reading(("no",), set_condition(fact, (), elements))


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
        self._closed = closed
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
        cells = range(len(self.names) + (self._others is None or bool(self._others)))
        branches = tuple(Branch(cell, " or ".join(self._reads([cell]).labels)) for cell in cells)
        masks = tuple(self.masks[: len(cells)])
        return [Question(self.fact, None, self._reads, branches, masks, self.touched, self.lookup)]

    def _reads(self, cells: Sequence[int]) -> Reading:
        is_in = {name: cell in cells for cell, name in enumerate(self.names)}
        some = class_of(is_in, len(self.names) in cells, self._closed)
        return Reading(some.labels, names_condition(FACTS[self.fact], some, self._closed))


class NumberColumn(Column):
    """A number fact, cut at the edges its intervals use."""

    def __init__(self, fact: str, constraints: Sequence[tuple[int, Interval]], full: int) -> None:
        self.fact, self.position = fact, INDEX[fact]
        ends = {edge for _, interval in constraints for edge in interval if edge is not None}
        highest = HIGHEST.get(FACTS[fact].kind)
        top = None if highest is None else (highest + 1, 0)
        # Below the first edge and above the last there are values: no cell is empty.
        self.edges = sorted(edge for edge in ends if edge > (0, 0) and (top is None or edge < top))
        cell_from = {edge: cell for cell, edge in enumerate(self.edges, start=1)}
        beyond = len(self.edges) + 1
        starts: list[list[int]] = [[] for _ in range(beyond + 1)]
        stops: list[list[int]] = [[] for _ in range(beyond + 1)]
        for bit, (low, high) in constraints:
            starts[0 if low <= (0, 0) else cell_from.get(low, beyond)].append(bit)
            if high is not None:
                stops[0 if high <= (0, 0) else cell_from.get(high, beyond)].append(bit)
        self.touched = mask_of(bit for bit, _ in constraints)
        alive = full & ~self.touched
        self.masks = []
        for began, ended in zip(starts[:beyond], stops[:beyond], strict=True):
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
        cells = range(len(self.masks))
        branches = tuple(Branch(cell, " or ".join(self._reads([cell]).labels)) for cell in cells)
        return [
            Question(self.fact, None, self._reads, branches, tuple(self.masks), self.touched, self.lookup)
        ]

    def _reads(self, cells: Sequence[int]) -> Reading:
        firsts = [cell for cell in cells if cell - 1 not in cells]
        lasts = [cell for cell in cells if cell + 1 not in cells]
        stretches = [
            Stretch(
                self.edges[first - 1] if first else None, self.edges[last] if last < len(self.edges) else None
            )
            for first, last in zip(firsts, lasts, strict=True)
        ]
        fact = FACTS[self.fact]
        return Reading(number_labels(fact, stretches), numbers_condition(fact, stretches))


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
                    self.fact,
                    element,
                    partial(set_reading, self.fact, (element,)),
                    branches,
                    masks,
                    wanting | rejecting,
                    self._membership(element),
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

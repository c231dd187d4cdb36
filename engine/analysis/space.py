"""The cubes of a policy -> the space of all tasks: what can happen, cut into cells, and boxes of cells.

A variable is a single-valued fact, or one element of a set fact, so that sets are never enumerated. A box
allows some cells of each variable; its plainest point is the task in it that differs least from a test's
defaults. Every question over all facts is a walk over boxes (`search`). Nothing here knows rules,
models or questions.
"""

from collections.abc import Container, Iterator, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any, TypeAlias

from engine.analysis.axes import Axis, Domain
from engine.analysis.calendar import Calendar, samples_of
from engine.decision.cubes import LOWEST, OTHER, Constraint, Cube, Edge, Interval, NameSet, Variable
from engine.decision.facts import INDEX, Facts
from engine.decision.partitions import mask_of
from engine.language.vocabulary import FACTS, GIVEN, HIGHEST, WEEKDAYS, Day, Fact, Kind
from engine.language.vocabulary import LOWEST as LOWEST_OF_KIND

Box: TypeAlias = dict[int, int]
"""The cells each variable may take, as bits; a variable that is not in it may take every cell it has."""

Cost: TypeAlias = tuple[int, tuple[int, ...], tuple[tuple[int, ...], ...]]
"""How plain a task is, least first: how many facts differ from a test's defaults, which in the fact table,
their values."""

TASK_TYPE = INDEX["task.type"]


class Space:
    """All tasks that can be, cut at every constant that some cube uses. Bit i stands for cube i."""

    def __init__(self, cubes: Sequence[Cube], domain: Domain) -> None:
        self.cubes, self.domain = cubes, domain
        self.full = (1 << len(cubes)) - 1
        constraints: dict[Variable, list[tuple[int, Constraint]]] = {}
        for bit, cube in enumerate(cubes):
            for variable, constraint in cube.items():
                constraints.setdefault(variable, []).append((bit, constraint))
        self.number = {variable: number for number, variable in enumerate(sorted(constraints, key=_place))}
        self.axes = tuple(self._axis(variable, constraints[variable]) for variable in self.number)
        self._single = [number for number, axis in enumerate(self.axes) if axis.element is None]
        self._elements: dict[int, list[int]] = {}
        for number, axis in enumerate(self.axes):
            if axis.element is not None:
                self._elements.setdefault(axis.fact, []).append(number)
        self._set_masks: dict[tuple[int, frozenset[int]], int] = {}
        self._cubes: dict[int, tuple[tuple[int, int], ...] | None] = {}
        usual = [axis.plainest(axis.domain) for axis in self.axes]
        self._usual_sets = {
            fact: frozenset(number for number in elements if usual[number])
            for fact, elements in self._elements.items()
        }
        # For each variable the default's cell as a bit (0 where there is no default), its fact, and whether
        # it is an element.
        self._about = tuple(
            (0 if axis.usual is None else 1 << axis.usual, axis.fact, axis.element is not None)
            for axis in self.axes
        )
        self.calendar = self._calendar()
        self._rests: dict[int, int] = {}
        self._unions: dict[tuple[int, int], int] = {}
        self._overlaps: dict[tuple[int, int], int] = {}

    @property
    def is_empty(self) -> bool:
        """Whether there is no task at all: of two policies that have no mode in common."""
        return any(not axis.domain for axis in self.axes)

    def _calendar(self) -> Calendar | None:
        """What of the date, the day and the weekday goes together, where rules ask for the date and more."""
        dates, days, weekdays = (self.number.get(f"clock.{fact}") for fact in ("date", "day", "weekday"))
        if dates is None or (days is None and weekdays is None):
            return None
        cells: dict[str, int] = {}
        if weekdays is not None:
            axis = self.axes[weekdays]
            cells = {name: axis.cell(name) for name in WEEKDAYS}
        edges = () if days is None else self.axes[days].edges
        usual = self.domain.defaults.clock_date
        return Calendar(dates, days, weekdays, samples_of(self.axes[dates].edges, edges, cells, usual))

    # --- Points ---

    def live(self, box: Box) -> int:
        """The cubes that hold at the plainest point of a box."""
        unusual = 0
        live = -1
        present: dict[int, set[int]] = {}
        for number, cells in box.items():
            usual, fact, is_element = self._about[number]
            if cells & usual:
                continue
            unusual |= 1 << fact
            if is_element:
                present.setdefault(fact, set(self._usual_sets[fact])).symmetric_difference_update((number,))
            else:
                live &= self.axes[number].masks[self.axes[number].plainest(cells)]
        for fact, elements in present.items():
            live &= self._set_mask(fact, frozenset(elements))
        return live & self._rest(unusual)

    def _rest(self, unusual: int) -> int:
        """The cubes that hold as far as all other facts go, when these are as usual."""
        rest = self._rests.get(unusual)
        if rest is None:
            rest = self.full
            for axis in self.axes:
                if axis.element is None and not unusual >> axis.fact & 1:
                    rest &= axis.masks[axis.plainest(axis.domain)]
            for fact, elements in self._usual_sets.items():
                if not unusual >> fact & 1:
                    rest &= self._set_mask(fact, elements)
            self._rests[unusual] = rest
        return rest

    def unreal(self, box: Box) -> list[Box] | None:
        """Where no calendar has the plainest point of a box: the parts of it that one has."""
        calendar = self.calendar
        if calendar is None or self._combination(calendar, box) in calendar.samples:
            return None
        numbers = (calendar.dates, calendar.days, calendar.weekdays)
        cells = (1 if each is None else box.get(each, self.axes[each].domain) for each in numbers)
        return [
            {
                **box,
                **{
                    each: 1 << cell
                    for each, cell in zip(numbers, combination, strict=True)
                    if each is not None
                },
            }
            for combination in calendar.within(*cells)
        ]

    def _combination(self, calendar: Calendar, box: Box) -> tuple[int, int, int]:
        def plainest(number: int | None) -> int:
            if number is None:
                return 0
            axis = self.axes[number]
            return axis.plainest(box.get(number, axis.domain))

        return plainest(calendar.dates), plainest(calendar.days), plainest(calendar.weekdays)

    def facts(self, box: Box) -> Facts:
        """The plainest point of a box as facts."""
        values: list[Any] = list(self.domain.defaults)
        values[TASK_TYPE] = values[TASK_TYPE] or self._any_type()
        for number in self._single:
            axis = self.axes[number]
            values[axis.fact] = axis.values[axis.plainest(box.get(number, axis.domain))]
        if self.calendar is not None:
            day = self.calendar.samples[self._combination(self.calendar, box)]
            moment = date.fromordinal(day)
            values[INDEX["clock.date"]] = day
            if self.calendar.days is not None:
                values[INDEX["clock.day"]] = moment.day
            if self.calendar.weekdays is not None:
                values[INDEX["clock.weekday"]] = WEEKDAYS[moment.weekday()]
        for fact, elements in self._sets(box).items():
            values[fact] = self._set(values[fact], GIVEN[fact].name, elements)
        return Facts(*values)

    def _set(self, default: frozenset[str], fact: str, elements: frozenset[int]) -> frozenset[str]:
        """The mentioned elements that are present, and of the others the default's, or one, or none."""
        present = {self.axes[number].values[1] for number in elements if self.axes[number].element != OTHER}
        others: set[str] = {*default} - self._mentioned(fact)
        if (number := self.number.get((fact, OTHER))) is not None:
            others = (others or {self.axes[number].values[1]}) if number in elements else set()
        return frozenset(present | others)

    def cost(self, box: Box) -> Cost:
        """What the plainest point of a box differs in."""
        type_cell = 0
        values: dict[int, tuple[int, ...]] = {}
        for number, cells in box.items():
            usual, fact, is_element = self._about[number]
            if cells & usual:
                continue
            if is_element:
                values[fact] = (*values.get(fact, ()), number)
            elif self.axes[number].usual is None:
                type_cell = (cells & -cells).bit_length() - 1
            else:
                values[fact] = ((cells & -cells).bit_length() - 1,)
        differing = tuple(sorted(values))
        # Of sets the smaller comes first; a single value is as large as any other.
        return (
            len(values),
            differing,
            ((type_cell,), *((len(values[fact]), *sorted(values[fact])) for fact in differing)),
        )

    def elements_of(self, number: int) -> Sequence[int]:
        """The variables of the same set fact as this one, itself among them."""
        return self._elements[self.axes[number].fact]

    def contains(self, box: Box, facts: Facts) -> bool:
        """Whether a task lies in a box."""
        return all(cells >> self._cell(number, facts) & 1 for number, cells in box.items())

    def _cell(self, number: int, facts: Facts) -> int:
        axis = self.axes[number]
        value: Any = facts[axis.fact]
        if axis.element is None:
            return axis.cell(value)
        if axis.element == OTHER:
            return int(bool(value - {self.axes[other].element for other in self._elements[axis.fact]}))
        return int(axis.element in value)

    # --- Boxes ---

    def cube(self, bit: int) -> tuple[tuple[int, int], ...] | None:
        """A cube as variables and the cells it allows them; None when nothing that can happen lies in it."""
        if bit not in self._cubes:
            self._cubes[bit] = self._cube(bit)
        return self._cubes[bit]

    def meet(self, box: Box, bit: int) -> Box | None:
        """The part of a box that lies in a cube."""
        cube = self.cube(bit)
        if cube is None:
            return None
        result = dict(box)
        for number, allowed in cube:
            cells = result.get(number, self.axes[number].domain) & allowed
            if not cells:
                return None
            result[number] = cells
        return result

    def outside(self, box: Box, bit: int) -> list[Box]:
        """The part of a box outside a cube that it meets, in disjoint boxes."""
        return self.without(box, self.cube(bit) or ())

    def without(self, box: Box, other: Sequence[tuple[int, int]]) -> list[Box]:
        """A box less another that it meets, in disjoint boxes."""
        pieces = []
        rest = dict(box)
        for number, allowed in other:
            cells = rest.get(number, self.axes[number].domain)
            if cells & ~allowed:
                pieces.append({**rest, number: cells & ~allowed})
                rest[number] = cells & allowed
        return pieces

    def ways_out(self, box: Box, bit: int) -> int:
        """In how many variables a box reaches beyond a cube."""
        return sum(
            1
            for number, allowed in self.cube(bit) or ()
            if box.get(number, self.axes[number].domain) & ~allowed
        )

    def possible(self, box: Box) -> int:
        """The cubes that meet a box (`meet` of each is not None)."""
        possible = self.feasible
        for number, cells in box.items():
            some = self._unions.get((number, cells))
            if some is None:
                some = 0
                for cell, mask in enumerate(self.axes[number].masks):
                    if cells >> cell & 1:
                        some |= mask
                self._unions[number, cells] = some
            possible &= some
        return possible

    def certain(self, box: Box) -> int:
        """The cubes that hold everywhere in a box."""
        certain = self.full
        for number, axis in enumerate(self.axes):
            cells = box.get(number, axis.domain) & axis.domain
            every = self._overlaps.get((number, cells))
            if every is None:
                every = self.full
                for cell, mask in enumerate(axis.masks):
                    if cells >> cell & 1:
                        every &= mask
                self._overlaps[number, cells] = every
            certain &= every
        return certain

    @property
    def feasible(self) -> int:
        """The cubes in which something that can happen lies."""
        if self._feasible is None:
            self._feasible = mask_of(bit for bit in range(len(self.cubes)) if self.cube(bit) is not None)
        return self._feasible

    _feasible: int | None = None

    # --- Cutting ---

    def _axis(self, variable: Variable, constraints: list[tuple[int, Constraint]]) -> Axis:
        if isinstance(variable, tuple):
            return self._element(variable[0], variable[1], constraints)
        fact = FACTS[variable]
        if fact.kind in (Kind.NAME, Kind.ORDERED, Kind.FLAG):
            return self._names(fact, [(bit, each) for bit, each in constraints if isinstance(each, NameSet)])
        return self._numbers(fact, [(bit, each) for bit, each in constraints if isinstance(each, Interval)])

    def _element(self, fact: str, element: str, constraints: list[tuple[int, Constraint]]) -> Axis:
        closed = self.domain.closed[fact]
        defaults: Any = self.domain.defaults[INDEX[fact]]
        # What the defaults hold beyond the mentioned elements is among those that nobody mentions.
        usual = int(bool(defaults - self._mentioned(fact)) if element == OTHER else element in defaults)
        domain = (0b11 if closed is None or element in closed else 0b01) | 1 << usual
        name = self._unheard_of(fact) if element == OTHER else element
        allowed = {bit: 2 if present else 1 for bit, present in constraints}
        return self._cut(fact, element, (None, name), domain, usual, allowed)

    def _names(self, fact: Fact, constraints: list[tuple[int, NameSet]]) -> Axis:
        closed = ("no", "yes") if fact.kind is Kind.FLAG else self.domain.closed[fact.name]
        mentioned = {name for _, names in constraints for name in names.members}
        default: Any = self.domain.defaults[INDEX[fact.name]]
        if fact.kind is Kind.FLAG:
            default = "yes" if default else "no"
        # All names that nobody mentions are one cell: the default stands for them, or else the first.
        if closed is None:
            stands = (
                default if default and default not in mentioned else self._unheard_of(fact.name, mentioned)
            )
            names = [*sorted(mentioned), stands]
        else:
            others = [name for name in closed if name not in mentioned]
            stands = default if default and default not in mentioned else next(iter(others), "")
            names = [name for name in closed if name in mentioned or name == stands]
            if stands and stands not in names:
                names.append(stands)
        place = {name: cell for cell, name in enumerate(names)}
        everything = (1 << len(names)) - 1
        allowed = {}
        for bit, constraint in constraints:
            members = mask_of(place[name] for name in constraint.members if name in place)
            allowed[bit] = members if constraint.inside else everything & ~members
        usual = place[default] if default else None
        values = [name == "yes" for name in names] if fact.kind is Kind.FLAG else names
        axis = self._cut(fact.name, None, tuple(values), everything, usual, allowed)
        return replace(axis, others=place.get(stands))

    def _numbers(self, fact: Fact, constraints: list[tuple[int, Interval]]) -> Axis:
        lowest: Edge = (LOWEST_OF_KIND.get(fact.kind, 0), 0)
        highest = HIGHEST.get(fact.kind)
        top: Edge | None = None if highest is None else (highest + 1, 0)
        ends = {
            edge for _, interval in constraints for edge in interval if edge is not None and edge != LOWEST
        }
        edges = [lowest, *sorted(edge for edge in ends if edge > lowest and (top is None or edge < top))]
        place = {edge: cell for cell, edge in enumerate(edges)}
        default: Any = self.domain.defaults[INDEX[fact.name]]
        allowed = {}
        for bit, (low, high) in constraints:
            first = 0 if low <= lowest else place.get(low, len(edges))
            last = len(edges) if high is None else 0 if high <= lowest else place.get(high, len(edges))
            allowed[bit] = ((1 << last) - 1) & ~((1 << first) - 1)
        usual = sum(1 for edge in edges[1:] if edge <= (default, 0))
        values = [_sample(edge, following) for edge, following in zip(edges, [*edges[1:], None], strict=True)]
        if fact.kind is Kind.PERCENT:
            values = [Decimal(value) for value in values]
        if fact.kind is Kind.DATE:
            values = [Day(value) for value in values]
        values[usual] = default
        axis = self._cut(fact.name, None, tuple(values), (1 << len(edges)) - 1, usual, allowed)
        return replace(axis, edges=tuple(edges))

    def _cut(
        self,
        fact: str,
        element: str | None,
        values: tuple[Any, ...],
        domain: int,
        usual: int | None,
        allowed: dict[int, int],
    ) -> Axis:
        untouched = self.full & ~mask_of(allowed)
        # A cube allows a few runs of cells, however many cells there are: it comes alive where one begins.
        begins: list[list[int]] = [[] for _ in values]
        ends: list[list[int]] = [[] for _ in range(len(values) + 1)]
        for bit, cells in allowed.items():
            while cells:
                low = cells & -cells
                run = cells & ~(cells + low)
                begins[low.bit_length() - 1].append(bit)
                ends[run.bit_length()].append(bit)
                cells ^= run
        alive = untouched
        masks = []
        for cell in range(len(values)):
            alive = alive & ~mask_of(ends[cell]) | mask_of(begins[cell])
            masks.append(alive)
        return Axis(INDEX[fact], element, values, tuple(masks), domain, usual, allowed)

    def _cube(self, bit: int) -> tuple[tuple[int, int], ...] | None:
        cube = []
        for variable in self.cubes[bit]:
            number = self.number[variable]
            axis = self.axes[number]
            allowed = axis.allowed[bit] & axis.domain
            if not allowed:
                return None
            if allowed != axis.domain:
                cube.append((number, allowed))
        return tuple(cube)

    # --- Names and sets ---

    def _sets(self, box: Box) -> dict[int, frozenset[int]]:
        """The elements present in each set fact at the plainest point."""
        sets = dict(self._usual_sets)
        for number, cells in box.items():
            axis = self.axes[number]
            if axis.element is not None and (cells >> 1 & 1) != (cells & 1):
                there = frozenset((number,))
                sets[axis.fact] = sets[axis.fact] | there if cells == 2 else sets[axis.fact] - there
        return sets

    def _set_mask(self, fact: int, present: frozenset[int]) -> int:
        mask = self._set_masks.get((fact, present))
        if mask is None:
            mask = self.full
            for number in self._elements[fact]:
                mask &= self.axes[number].masks[number in present]
            self._set_masks[fact, present] = mask
        return mask

    def _any_type(self) -> str:
        closed = self.domain.closed["task.type"]
        return closed[0] if closed else self._unheard_of("task.type")

    def _mentioned(self, fact: str) -> frozenset[str]:
        """The elements of a set fact that some cube names."""
        variables = (variable for variable in self.number if isinstance(variable, tuple))
        return frozenset(element for name, element in variables if name == fact) - {OTHER}

    def _unheard_of(self, fact: str, mentioned: Container[str] | None = None) -> str:
        """A name that nobody mentions."""
        mentioned = self._mentioned(fact) if mentioned is None else mentioned
        return next(name for name in _strangers() if name not in mentioned)


def _place(variable: Variable) -> tuple[int, bool, str]:
    """The order of the fact table; within a set by name, the names that nobody mentions last."""
    if isinstance(variable, tuple):
        return INDEX[variable[0]], variable[1] == OTHER, variable[1]
    return INDEX[variable], False, ""


def _sample(edge: Edge, following: Edge | None) -> int | Decimal:
    """The smallest value of a cell, or where there is no smallest a round one."""
    value, side = edge
    if side == 0:
        return value
    if following is None or following[0] > value + 1:
        return value + 1
    return (Decimal(value) + Decimal(following[0])) / 2


def _strangers() -> Iterator[str]:
    yield "something-else"
    number = 2
    while True:
        yield f"something-else-{number}"
        number += 1

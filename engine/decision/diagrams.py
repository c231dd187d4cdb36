"""Decision diagrams: functions of a few questions, each with numbered answers, to values of any kind.

A diagram asks its questions in one order, equal parts are one part, and a question whose answers all lead to
the same part is left out; so two diagrams of one `Diagrams` are the same function exactly when they are the
same object (R. E. Bryant, Graph-based algorithms for Boolean function manipulation, 1986). Nothing here knows
what a question is about.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

Value = TypeVar("Value", bound=Hashable)
Other = TypeVar("Other", bound=Hashable)
Key = TypeVar("Key", bound=Hashable)
Made = TypeVar("Made")


@dataclass(frozen=True, slots=True, eq=False)
class End(Generic[Value]):
    """Nothing more is asked."""

    value: Value


@dataclass(frozen=True, slots=True, eq=False)
class Fork(Generic[Value]):
    """The place of a question in the order, and where each of its answers leads."""

    question: int
    ways: "tuple[Diagram[Value], ...]"


Diagram: TypeAlias = End[Value] | Fork[Value]
Region: TypeAlias = Diagram[bool]
"""Where a condition holds."""


class Diagrams:
    """Makes diagrams, each once."""

    def __init__(self) -> None:
        self._ends: dict[Hashable, End[Hashable]] = {}
        self._forks: dict[tuple[object, ...], Fork[Hashable]] = {}
        self._narrowed: dict[tuple[object, object], Diagram[Hashable]] = {}
        self.everywhere: Region = self.end(True)
        self.nowhere: Region = self.end(False)

    def end(self, value: Value) -> End[Value]:
        # True and 1 are one key of a dict, but not one value.
        return self._ends.setdefault((type(value), value), End(value))  # type: ignore[return-value]

    def fork(self, question: int, ways: Sequence[Diagram[Value]]) -> Diagram[Value]:
        """Asks a question; not where every answer leads to the same part."""
        if all(way is ways[0] for way in ways):
            return ways[0]
        key = (question, *map(id, ways))
        return self._forks.setdefault(key, Fork(question, tuple(ways)))  # type: ignore[arg-type, return-value]

    def grown(self, root: Key, asked: Callable[[Key], tuple[int, Sequence[Key]] | Value]) -> Diagram[Value]:
        """The diagram below a key; `asked` says of each key which question it asks and where the answers
        lead, or the value it ends with (which is no tuple)."""
        answers: dict[Key, tuple[int, Sequence[Key]] | Value] = {}

        def answer(key: Key) -> tuple[int, Sequence[Key]] | Value:
            if key not in answers:
                answers[key] = asked(key)
            return answers[key]

        def below(key: Key) -> Sequence[Key]:
            found = answer(key)
            return found[1] if isinstance(found, tuple) else ()

        def made(key: Key, ways: list[Diagram[Value]]) -> Diagram[Value]:
            found = answers.pop(key)
            return self.fork(found[0], ways) if isinstance(found, tuple) else self.end(found)

        return _bottom_up(root, below, made)

    def mapped(self, diagram: Diagram[Value], change: Callable[[Value], Other]) -> Diagram[Other]:
        """The same questions, with other values at the ends."""

        def made(part: Diagram[Value], ways: list[Diagram[Other]]) -> Diagram[Other]:
            return self.end(change(part.value)) if isinstance(part, End) else self.fork(part.question, ways)

        return _bottom_up(diagram, _ways, made)

    def opposite(self, region: Region) -> Region:
        return self.mapped(region, lambda holds: not holds)

    def joined(self, regions: Sequence[Region], every: bool) -> Region:
        """Where every one of the regions is, or where any is."""
        # The end that decides, whatever the other region says.
        decides = self.nowhere if every else self.everywhere
        joined = self.opposite(decides)
        for region in regions:
            joined = self._joined(joined, region, decides)
        return joined

    def _joined(self, one: Region, other: Region, decides: Region) -> Region:
        def below(pair: tuple[Region, Region]) -> list[tuple[Region, Region]]:
            if decides in pair or _both_end(pair):
                return []
            return list(zip(*_side_by_side(*pair), strict=True))

        def made(pair: tuple[Region, Region], ways: list[Region]) -> Region:
            if decides in pair:
                return decides
            return self.fork(_first_question(*pair), ways) if ways else pair[0]

        return _bottom_up((one, other), below, made)

    def narrowed(self, diagram: Diagram[Value], region: Region) -> Diagram[Value]:
        """A diagram that is right inside the region, asks no more than it must there, and has no end that is
        not met there (Coudert and Madre's `restrict`, 1990). The region is somewhere."""
        assert region is not self.nowhere

        def below(pair: tuple[Diagram[Value], Region]) -> list[tuple[Diagram[Value], Region]]:
            part, where = pair
            if isinstance(part, End) or isinstance(where, End):
                return []
            if where.question < part.question:
                return [(part, self.joined(where.ways, every=False))]
            places = where.ways if where.question == part.question else [where] * len(part.ways)
            return [
                (way, place)
                for way, place in zip(part.ways, places, strict=True)
                if place is not self.nowhere
            ]

        def made(pair: tuple[Diagram[Value], Region], ways: list[Diagram[Value]]) -> Diagram[Value]:
            part, where = pair
            if isinstance(part, End) or isinstance(where, End):
                return part
            if where.question < part.question:
                return ways[0]
            if where.question > part.question:
                return self.fork(part.question, ways)
            found = iter(ways)
            inside = [next(found) if place is not self.nowhere else None for place in where.ways]
            # An answer outside the region may lead anywhere: where a neighbour leads it adds nothing.
            return self.fork(part.question, [way or ways[0] for way in inside])

        key = (diagram, region)
        if key not in self._narrowed:
            self._narrowed[key] = _bottom_up(key, below, made)  # type: ignore[assignment]
        return self._narrowed[key]  # type: ignore[return-value]


def parts(diagram: Diagram[Value]) -> Iterator[Diagram[Value]]:
    """Every part once, the whole first."""
    seen, stack = {diagram}, [diagram]
    while stack:
        part = stack.pop()
        yield part
        for way in reversed(_ways(part)):
            if way not in seen:
                seen.add(way)
                stack.append(way)


def values(diagram: Diagram[Value]) -> list[Value]:
    """The values at the ends, each once, in the order of the answers."""
    return [part.value for part in parts(diagram) if isinstance(part, End)]


def questions(diagram: Diagram[Value]) -> set[int]:
    """The questions that matter to the diagram."""
    return {part.question for part in parts(diagram) if isinstance(part, Fork)}


def _ways(part: Diagram[Value]) -> tuple[Diagram[Value], ...]:
    return part.ways if isinstance(part, Fork) else ()


def _both_end(pair: tuple[Region, Region]) -> bool:
    return isinstance(pair[0], End) and isinstance(pair[1], End)


def _first_question(*pair: Region) -> int:
    return min(part.question for part in pair if isinstance(part, Fork))


def _side_by_side(one: Region, other: Region) -> tuple[Sequence[Region], Sequence[Region]]:
    """The ways of both from the question that comes first; one that does not ask it stays as it is."""
    first = _first_question(one, other)
    count = next(len(part.ways) for part in (one, other) if isinstance(part, Fork) and part.question == first)
    left, right = (
        part.ways if isinstance(part, Fork) and part.question == first else [part] * count
        for part in (one, other)
    )
    return left, right


def _bottom_up(
    root: Key, below: Callable[[Key], Sequence[Key]], made: Callable[[Key, list[Made]], Made]
) -> Made:
    """What is made of the root when everything below it is made first; no recursion, so of any depth."""
    done: dict[Key, Made] = {}
    stack = [root]
    while stack:
        key = stack[-1]
        if key not in done:
            keys = below(key)
            waiting = [one for one in keys if one not in done]
            if waiting:
                stack += waiting
                continue
            done[key] = made(key, [done[one] for one in keys])
        stack.pop()
    return done[root]

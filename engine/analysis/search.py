"""A space and what is wanted -> the plainest task that has it, or the certainty that there is none.

The one mechanism behind every question over all facts. It begins with the plainest task of all, asks the goal
what keeps it from being a witness, and goes on in the boxes in which that obstacle is gone, best first by
what differs from a test's defaults. A box is left out only when no witness is in it, so the first
hit is a simplest witness and an empty queue is a proof. Work is counted and capped; reaching the
cap is an answer of its own, never a success.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TypeAlias

from engine.analysis.space import Box, Cost, Space
from engine.decision.facts import Facts
from engine.decision.partitions import bits_of

MOST_WORK = 10_000_000
"""Steps one question may take unless the caller allows more: one step is one variable of one box looked
at."""

_MOST_COMPARED = 24
"""Live cubes that are compared before one of them is chosen to be got rid of."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What keeps a point from being a witness; every witness in its box takes one of these ways out.

    Either all cubes of `dying` must die, or one of the `kills` dies or one of the cubes of `wakes` holds, or
    nothing is known but that the cubes of `splits` decide.
    """

    dying: int = 0
    kills: tuple[int, ...] = ()
    wakes: int = 0
    splits: int = 0


Goal: TypeAlias = Callable[[int], Obstacle | None]
"""What is wanted, asked of the cubes that hold at a point: None when the point has it."""


class OutOfWork(Exception):  # noqa: N818 - an answer, not a fault
    """The cap was reached; `differing` facts is how far the search had come."""

    def __init__(self, done: int, differing: int) -> None:
        super().__init__(f"{done} steps")
        self.done, self.differing = done, differing


class Work:
    """Steps taken, of those allowed."""

    def __init__(self, most: int = MOST_WORK) -> None:
        self.most, self.done = most, 0

    def spend(self, steps: int, cost: Cost) -> None:
        self.done += steps
        if self.done > self.most:
            raise OutOfWork(self.done, cost[0])


@dataclass(frozen=True, slots=True)
class Witness:
    """A task that has what was wanted; `goal` is the number of the goal it meets, `live` the cubes that
    hold."""

    space: Space
    box: Box
    live: int
    goal: int

    @property
    def facts(self) -> Facts:
        return self.space.facts(self.box)


def find(space: Space, goals: Sequence[Goal], work: Work, within: Iterable[Box] = ({},)) -> Witness | None:
    """The plainest task, in one of the boxes, that meets one of the goals. Raises OutOfWork."""

    def look(number: int, box: Box, live: int) -> Iterable[Box] | None:
        obstacle = goals[number](live)
        return None if obstacle is None else _ways_out(space, box, obstacle, live)

    return explore(space, len(goals), look, work, within)


Look: TypeAlias = Callable[[int, Box, int], Iterable[Box] | None]
"""What is asked of a question's number, a box and the cubes that hold at its plainest point: None when this
point is a witness, else boxes within it that hold every witness it has."""


def explore(
    space: Space, questions: int, look: Look, work: Work, within: Iterable[Box] = ({},)
) -> Witness | None:
    """The plainest task, in one of the boxes, that is a witness to one of so many questions. Raises
    OutOfWork."""
    if space.is_empty:
        return None
    queue: list[tuple[Cost, int, int, Box]] = []
    seen: set[tuple[int, frozenset[tuple[int, int]]]] = set()
    serial = 0
    for box in within:
        cost = space.cost(box)
        for number in range(questions):
            queue.append((cost, serial, number, box))
            serial += 1
    work.done += len(queue)
    queue.sort()
    price = len(space.axes) + 1
    while queue:
        cost, _, number, box = heappop(queue)
        work.spend(price, cost)
        children: Iterable[Box] | None = space.unreal(box)
        if children is None:
            live = space.live(box)
            children = look(number, box, live)
            if children is None:
                return Witness(space, box, live, number)
        for child in children:
            key = number, frozenset(child.items())
            if key not in seen:
                seen.add(key)
                work.spend(len(child), cost)
                heappush(queue, (space.cost(child), serial, number, child))
                serial += 1
    return None


def _ways_out(space: Space, box: Box, obstacle: Obstacle, live: int) -> Iterator[Box]:
    """Boxes within `box` that hold every witness it has."""
    if obstacle.dying:
        yield from space.outside(box, easiest(space, box, obstacle.dying & live))
        return
    if obstacle.splits:
        # A cube that holds here is looked at first: without it the point is another one at once.
        for mask in (obstacle.splits & live, obstacle.splits & ~live):
            pieces = list(split(space, box, mask))
            if pieces:
                yield from pieces
                return
        return
    rest = box
    for bit in obstacle.kills:
        yield from space.outside(rest, bit)
        met = space.meet(rest, bit)
        assert met is not None, "the point lies in the cube that is to die"
        rest = met
    if obstacle.wakes:
        for bit in bits_of(obstacle.wakes & space.possible(rest)):
            met = space.meet(rest, bit)
            if met is not None:
                yield met


def easiest(space: Space, box: Box, dying: int) -> int:
    """The cube with the fewest ways out: one that has none ends the search in this box."""
    best, fewest = -1, 1 << 30
    compared = 0
    while dying and compared < _MOST_COMPARED:
        low = dying & -dying
        dying ^= low
        compared += 1
        ways = space.ways_out(box, low.bit_length() - 1)
        if ways < fewest:
            best, fewest = low.bit_length() - 1, ways
            if not ways:
                break
    return best


def split(space: Space, box: Box, splits: int) -> Iterator[Box]:
    """A box cut along the first cube that is not yet decided in it; nothing when all are."""
    splits &= space.possible(box)
    while splits:
        low = splits & -splits
        splits ^= low
        bit = low.bit_length() - 1
        if space.ways_out(box, bit):
            met = space.meet(box, bit)
            if met is not None:
                yield met
                yield from space.outside(box, bit)
                return

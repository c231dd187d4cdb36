"""What can happen, and the cells that one variable of a task falls into."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.decision.cubes import Edge
from engine.decision.facts import DEFAULTS, Facts
from engine.language.known_names import Names
from engine.language.vocabulary import GIVEN


@dataclass(frozen=True, slots=True)
class Domain:
    """What can happen, and what a test takes for granted.

    `closed` lists the names a fact can have, None where any name may come.
    """

    closed: Mapping[str, tuple[str, ...] | None]
    defaults: Facts

    @classmethod
    def of(cls, names: Names) -> "Domain":
        """The domain of a policy."""
        closed = {fact.name: names.known_values(fact) for fact in GIVEN}
        closed["budget.exhausted_providers"] = names.limited_providers
        return cls(closed, DEFAULTS._replace(mode=names.default_mode))


@dataclass(frozen=True, slots=True)
class Axis:
    """One variable: a value for each cell, and the cubes that survive in it.

    `usual` is the cell of the default, None for `task.type` where it has none. An element of a
    set has the cells absent and present; `edges` are where the cells of a number begin.
    """

    fact: int
    element: str | None
    values: tuple[Any, ...]
    masks: tuple[int, ...]
    domain: int
    usual: int | None
    allowed: Mapping[int, int]
    edges: tuple[Edge, ...] = ()
    others: int | None = None

    def cell(self, value: Any) -> int:
        """The cell of a single value."""
        if self.edges:
            return bisect_right(self.edges, (value, 0)) - 1
        if value in self.values:
            return self.values.index(value)
        assert self.others is not None, "a closed fact has none but its names"
        return self.others

    def plainest(self, cells: int) -> int:
        """Of some cells the default's, else the first."""
        if self.usual is not None and cells >> self.usual & 1:
            return self.usual
        return (cells & -cells).bit_length() - 1

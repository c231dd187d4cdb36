"""Cells of the date, the day of the month and the weekday -> which of them go together, and a date in each.

These three facts follow from one clock, so not every combination of their cells can happen: no Christmas Eve
of 2026 is a Monday. A policy that asks for the date and for another of them is judged over what can.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from engine.decision.cubes import Edge
from engine.decision.partitions import bits_of
from engine.language.vocabulary import HIGHEST, WEEKDAYS, Day, Kind

# A date of each day of the month on each weekday comes round within so many days.
_ALL_COME = 366 * 40

Combination = tuple[int, int, int]
"""A cell of the date, of the day of the month and of the weekday; 0 where no rule asks."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """The numbers of the three variables in a space, None where no rule asks, and a date of each
    combination of their cells that there is."""

    dates: int
    days: int | None
    weekdays: int | None
    samples: Mapping[Combination, Day]

    def within(self, dates: int, days: int, weekdays: int) -> Iterator[Combination]:
        """The combinations that there are, of some cells each."""
        wanted = set(bits_of(dates))
        for each in self.samples:
            if each[0] in wanted and days >> each[1] & 1 and weekdays >> each[2] & 1:
                yield each


def samples_of(
    date_edges: Sequence[Edge], day_edges: Sequence[Edge], weekday_cells: Mapping[str, int], usual: Day
) -> dict[Combination, Day]:
    """A date for each combination of cells; the usual one where it fits, else the first."""
    found: dict[Combination, Day] = {}

    def add(day: int, cell: int) -> None:
        moment = date.fromordinal(day)
        of_month = bisect_right(day_edges, (moment.day, 0)) - 1 if day_edges else 0
        found.setdefault((cell, of_month, weekday_cells.get(WEEKDAYS[moment.weekday()], 0)), Day(day))

    add(usual, bisect_right(date_edges, (usual, 0)) - 1)
    for cell, (begin, _) in enumerate(date_edges):
        last = HIGHEST[Kind.DATE] + 1 if cell + 1 == len(date_edges) else int(date_edges[cell + 1][0])
        first = max(int(begin), 1)
        # A long stretch is looked at from a date that people speak of.
        if first < usual < last:
            for day in range(usual, min(last, usual + _ALL_COME)):
                add(day, cell)
        for day in range(first, min(last, first + _ALL_COME)):
            add(day, cell)
    return found

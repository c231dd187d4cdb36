"""One policy and the chunks of a log, in order -> the model of each row, with budgets that fill up on the
way.

Rows are played in stretches in which no budget reaches a percentage that a rule compares with. The row that
reaches one is charged, and the next row is decided with the new percentage, as the router does, which reads
the ledger before every decision. Windows begin by the row's own time; a clock that goes back stays in the
later window, as in the ledger.

Not simulated: the ledger also refuses a call whose worst case does not fit into the rest of a limit, so the
last call before a limit would have been shortened or gone to the next model of its chain.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor
from typing import Any

import numpy as np

from engine.budget.accounts import Limits
from engine.budget.money import PRICED_TOKENS
from engine.budget.windows import Period, Window, window_at
from engine.decision.partitions import Column, NumberColumn
from engine.policy import Policy
from engine.replay.charges import Charges, Tokens, booked
from engine.replay.encoding import Chunk, Encoded, Whole
from engine.replay.errors import UnreadableLog
from engine.replay.pruning import Choices, Pruning

BUDGET_FACTS = frozenset({"budget.daily.used", "budget.monthly.used", "budget.exhausted_providers"})
SHORTEST, LONGEST = 4_096, 1 << 18


@dataclass(frozen=True, slots=True)
class Exhaustion:
    """A limit that a row used up: `row` counts from 0, `at_us` is its time, `spent_micro_usd` the amount
    booked by then."""

    account: str
    window_start_s: int | None
    row: int
    at_us: int | None
    limit_micro_usd: int
    spent_micro_usd: int


@dataclass(frozen=True, slots=True)
class Played:
    """A played chunk: the chosen model of every row (-1 is a refusal) and its exact cost in millionths of a
    micro-dollar.

    `stretches` are the first rows of each stretch, with the partitions of the budgets in it; `encoded` holds
    the partitions of the other facts.
    """

    chosen: Whole
    exact: Whole
    stretches: tuple[tuple[int, Mapping[str, Any]], ...]
    encoded: tuple[tuple[Column, Encoded], ...]


@dataclass(slots=True)
class _Book:
    """One limited account during a replay.

    `cuts` are the amounts at which the partition of a fact, or the limit, is reached. `spent`, `limit` and
    `cuts` count in 1/`unit` micro-dollars.
    """

    account: str
    period: Period
    provider: str | None
    limit: int
    cuts: list[int]
    unit: int = 1
    spent: int = 0
    window: Window | None = None
    is_reported: bool = False

    def next_cut(self) -> int | None:
        return next((cut for cut in self.cuts if cut > self.spent), None)

    @property
    def used(self) -> Decimal:
        """The percentage used, computed as the ledger does (`AccountState.used_percent`)."""
        if self.limit == 0:
            return Decimal(100)
        return Decimal(self.spent * 100 * 10**6 // self.limit).scaleb(-6)


class Simulation:
    """One policy's run.

    With `simulated` False budgets are facts of the log like any other; with `rounded` False calls are booked
    to the last digit instead of being rounded up to a micro-dollar each.
    """

    def __init__(self, policy: Policy, *, simulated: bool = True, rounded: bool = True) -> None:
        self.policy = policy
        self.models = policy.catalogue.models
        self.charges = Charges(self.models)
        self.exhaustions: list[Exhaustion] = []
        self.zone = policy.settings.budgets.time_zone
        self.pruning = Pruning(policy.compiled, BUDGET_FACTS if simulated else frozenset())
        self._last = {column.fact: column for column in self.pruning.last_columns}
        self._rounded = rounded
        self._books = _books(policy, self._last, 1 if rounded else PRICED_TOKENS) if simulated else []
        self._choices: dict[tuple[Any, ...], Choices] = {}
        self._memory: dict[tuple[int, int], int] = {}
        self._clock_us: int | None = None
        self._provider_of = np.array(
            [[model.provider == book.provider for model in self.models] + [False] for book in self._books],
            bool,
        )

    def play(self, chunk: Chunk, tokens: Tokens) -> Played:
        """Plays a chunk after those before it."""
        columns = self.pruning.first_columns
        encoded = [chunk.encoded(column, self.zone) for column in columns]
        states, index = self.pruning.rows(encoded, chunk.rows)
        chosen = np.empty(chunk.rows, np.int64)
        exact = np.empty(chunk.rows, np.int64)
        stretches: list[tuple[int, Mapping[str, Any]]] = []
        for start, end in self._windows(chunk):
            self._play_window(chunk, tokens, states, index, start, end, chosen, exact, stretches)
        return Played(chosen, exact, tuple(stretches), tuple(zip(columns, encoded, strict=True)))

    # -- windows

    def _windows(self, chunk: Chunk) -> Iterator[tuple[int, int]]:
        """Runs of rows within one day; opens the books afresh where a window begins."""
        times = chunk.times_us
        if times is None or not self._books:
            yield 0, chunk.rows
            return
        seconds = np.maximum.accumulate(times // 1_000_000)
        if self._clock_us is not None:
            seconds = np.maximum(seconds, self._clock_us)
        at = 0
        while at < chunk.rows:
            now = int(seconds[at])
            self._clock_us = now
            day = window_at(Period.DAILY, self.zone, now)
            month: Window | None = None
            for book in self._books:
                if book.window is not None and book.window.start_s <= now < book.window.end_s:
                    continue
                if book.period is Period.MONTHLY:
                    month = month or window_at(Period.MONTHLY, self.zone, now)
                book.window = day if book.period is Period.DAILY else month
                book.spent, book.is_reported = 0, False
            end = int(np.searchsorted(seconds, day.end_s, side="left"))
            yield at, end
            at = end
        self._clock_us = int(seconds[-1])

    # -- money

    def _play_window(
        self,
        chunk: Chunk,
        tokens: Tokens,
        states: list[int],
        index: Whole,
        start: int,
        end: int,
        chosen: Whole,
        exact: Whole,
        stretches: list[tuple[int, Mapping[str, Any]]],
    ) -> None:
        at, step = start, SHORTEST if self._books else end - start
        while at < end:
            cells, table = self._table(states)
            if not stretches or stretches[-1][1] != cells:
                stretches.append((at, cells))
            rows = slice(at, min(end, at + step))
            models = self._chosen(table, states, cells, index[rows])
            cost = self.charges.exact(models, tokens, rows)
            count = rows.stop - rows.start
            crossing = count
            if self._books:
                amounts = booked(cost) if self._rounded else cost
                if float(amounts.sum(dtype=np.float64)) > 2**62:
                    raise UnreadableLog("these calls cost more than can be counted with")
                running = [
                    np.cumsum(
                        amounts if book.provider is None else amounts * self._provider_of[place][models]
                    )
                    for place, book in enumerate(self._books)
                ]
                for book, sums in zip(self._books, running, strict=True):
                    cut = book.next_cut()
                    if cut is not None and book.spent + int(sums[-1]) >= cut:
                        crossing = min(crossing, int(np.searchsorted(sums, cut - book.spent, side="left")))
                played = min(crossing + 1, count)
                for book, sums in zip(self._books, running, strict=True):
                    book.spent += int(sums[played - 1])
                self._stream(chunk, at + played - 1)
                count = played
            chosen[at : at + count] = models[:count]
            exact[at : at + count] = cost[:count]
            at += count
            step = (
                min(step * 2, LONGEST)
                if count == rows.stop - rows.start
                else max(SHORTEST, min(step, 2 * count))
            )
            if not self._books:
                step = end - at

    def _stream(self, chunk: Chunk, row: int) -> None:
        for book in self._books:
            if not book.is_reported and book.limit and book.spent >= book.limit:
                book.is_reported = True
                self.exhaustions.append(
                    Exhaustion(
                        book.account,
                        None if book.window is None else book.window.start_s,
                        chunk.first + row,
                        None if chunk.times_us is None else int(chunk.times_us[row]),
                        book.limit // book.unit,
                        book.spent // book.unit,
                    )
                )

    def _table(self, states: list[int]) -> tuple[dict[str, Any], tuple[Any, ...]]:
        cells: dict[str, Any] = {}
        if "budget.daily.used" in self._last:
            cells["budget.daily.used"] = self._used(Period.DAILY)
        if "budget.monthly.used" in self._last:
            cells["budget.monthly.used"] = self._used(Period.MONTHLY)
        if "budget.exhausted_providers" in self._last:
            gone = frozenset(b.provider for b in self._books if b.provider is not None and b.used >= 100)
            cells["budget.exhausted_providers"] = self._last["budget.exhausted_providers"].lookup(gone)
        return cells, tuple(cells.values())

    def _used(self, period: Period) -> Any:
        column = self._last[f"budget.{period.value}.used"]
        for book in self._books:
            if book.period is period and book.provider is None:
                return column.lookup(book.used)
        return column.lookup(Decimal(0))

    def _chosen(
        self, key: tuple[Any, ...], states: list[int], cells: Mapping[str, Any], index: Whole
    ) -> Whole:
        """The model of every row; decides only states that occur and have no answer yet."""
        choices = self._choices.get(key)
        if choices is None:
            choices = self._choices[key] = Choices(self.pruning, cells, self._memory)
        if len(states) <= 256 or len(index) > 8 * len(states):
            return choices.of(states)[index]
        present = np.zeros(len(states), bool)
        present[index] = True
        occurring = np.flatnonzero(present)
        table = np.empty(len(states), np.int64)
        table[occurring] = choices.of([states[place] for place in occurring.tolist()])
        return table[index]


def _books(policy: Policy, last: Mapping[str, Column], unit: int) -> list[_Book]:
    budgets = policy.settings.budgets
    limits = Limits(
        daily_usd=budgets.daily.total_usd,
        monthly_usd=budgets.monthly.total_usd,
        per_provider_daily=budgets.daily.per_provider,
        per_provider_monthly=budgets.monthly.per_provider,
        time_zone=budgets.time_zone,
    )
    books = []
    for account in limits.limited_accounts():
        limit, period = account.limit_micro_usd, account.period
        assert limit is not None
        assert period is not None
        cuts = {limit * unit} if limit else set()
        column = last.get(f"budget.{period.value}.used")
        if account.provider is None and limit and isinstance(column, NumberColumn):
            cuts |= {_amount_at(Fraction(value), side, limit * unit) for value, side in column.edges}
        books.append(_Book(account.account_id, period, account.provider, limit * unit, sorted(cuts), unit))
    return books


def _amount_at(percent: Fraction, side: int, limit: int) -> int:
    """The smallest spending that is at this percentage of the limit (beyond it, when side is 1), floored at
    six places as the ledger does."""
    millionths = ceil(percent * 10**6) if side == 0 else floor(percent * 10**6) + 1
    return ceil(Fraction(millionths * limit, 100 * 10**6))

"""Played chunks -> sums: calls, tokens and money by model, refusals, moves, outcomes, and the course over
time.

Sums of money and tokens are whole numbers and exact; the course is for drawing only.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from engine.config.catalogue import Model
from engine.language.vocabulary import QUALITIES
from engine.replay.charges import Tokens, total
from engine.replay.encoding import Chunk, Whole
from engine.replay.explanations import (
    BEYOND,
    MOST_COMBINATIONS,
    Combinations,
    Reason,
    Refusals,
    Watched,
    decision_at,
    why_moved,
)
from engine.replay.simulation import Played, Simulation

REFUSED = -1
MOST_BINS = 512


@dataclass(slots=True)
class OfModel:
    """The share of one model. `exact` is in millionths of a micro-dollar."""

    model: Model
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    exact: int = 0


@dataclass(slots=True)
class Course:
    """The log cut into at most MOST_BINS runs of rows of one length: calls and micro-dollars by model in
    each."""

    models: int
    stride: int = 64
    first_us: list[int | None] = field(default_factory=list)
    calls: list[list[int]] = field(default_factory=list)
    micro_usd: list[list[float]] = field(default_factory=list)
    elsewhere: list[list[float]] = field(default_factory=list)
    """The cost of each run at the model to compare with."""

    def add(self, chunk: Chunk, played: Played, elsewhere: Whole) -> None:
        """Counts a chunk; the last of `models` + 1 columns are the refused."""
        while (chunk.first + chunk.rows - 1) // self.stride >= MOST_BINS:
            self._halve()
        width = self.models + 1
        bins = np.arange(chunk.first, chunk.first + chunk.rows) // self.stride
        low, high = int(bins[0]), int(bins[-1]) + 1
        keys = (bins - low) * width + np.where(played.chosen < 0, self.models, played.chosen)
        calls = np.bincount(keys, minlength=(high - low) * width).reshape(-1, width)
        money = np.bincount(keys, weights=played.exact / 1e6, minlength=(high - low) * width).reshape(
            -1, width
        )
        other = np.bincount(bins - low, weights=elsewhere / 1e6, minlength=high - low)
        times = chunk.times_us
        for place in range(low, high):
            if place == len(self.calls):
                first = max(place * self.stride - chunk.first, 0)
                self.first_us.append(None if times is None else int(times[first]))
                self.calls.append([0] * width)
                self.micro_usd.append([0.0] * width)
                self.elsewhere.append([0.0])
            self.elsewhere[place][0] += float(other[place - low])
            self.calls[place] = [
                one + int(two) for one, two in zip(self.calls[place], calls[place - low], strict=True)
            ]
            self.micro_usd[place] = [
                one + float(two) for one, two in zip(self.micro_usd[place], money[place - low], strict=True)
            ]

    def _halve(self) -> None:
        self.stride *= 2
        self.first_us = self.first_us[::2]
        self.calls = _in_pairs(self.calls)
        self.micro_usd = _in_pairs(self.micro_usd)
        self.elsewhere = _in_pairs(self.elsewhere)


def _in_pairs(rows: list[list[int]] | list[list[float]]) -> list[list]:  # type: ignore[type-arg]
    pairs = []
    for place in range(0, len(rows), 2):
        one = rows[place]
        pairs.append(
            [a + b for a, b in zip(one, rows[place + 1], strict=True)] if place + 1 < len(rows) else one
        )
    return pairs


@dataclass(slots=True)
class Move:
    """Rows that go from one model to another for the same reasons; None is a refusal."""

    before: str | None
    after: str | None
    reasons: tuple[Reason, ...]
    rows: int = 0
    exact_before: int = 0
    exact_after: int = 0
    first_row: int = 0


class Tally:
    """The sums of one policy's run."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        self.models = [OfModel(model) for model in simulation.models]
        self.rows = 0
        self.refused = 0
        self.refusals = Refusals(simulation)
        self.watched = Watched(simulation)
        self.everything_at = [0] * len(self.models)
        self.fits = [0] * len(self.models)
        self.all_tokens = [0, 0]
        self.course = Course(len(self.models))
        self.reference = _reference(simulation)
        self.outcomes: Counter[tuple[float, ...]] = Counter()
        """How often each (chosen model, score of each scored model, ...) occurs."""
        self.scored: tuple[int, ...] = ()
        self.oracle_exact = 0
        """The cost of the cheapest of each row's best models, in millionths of a micro-dollar; 0 for a row
        without all scores."""
        self.recorded: Counter[tuple[str, str]] = Counter()
        """How often each (recorded model, model now) occurs; a refusal is ""."""

    def add(self, chunk: Chunk, tokens: Tokens, played: Played) -> None:
        """Counts a chunk."""
        chosen = played.chosen
        prompt, reply = tokens.at(chosen, slice(0, chunk.rows))
        calls = np.bincount(chosen + 1, minlength=len(self.models) + 1)
        busy = np.flatnonzero(calls[1:])
        for place in busy.tolist():
            mine = chosen == place if len(busy) > 1 or calls[0] else slice(None)
            of_model = self.models[place]
            of_model.calls += int(calls[place + 1])
            of_model.input_tokens += total(prompt[mine])
            of_model.output_tokens += total(reply[mine])
            of_model.exact += total(played.exact[mine])
        self.rows += chunk.rows
        self.all_tokens[0] += tokens.sum_of(tokens.input)
        self.all_tokens[1] += tokens.sum_of(tokens.output)
        sizes = chunk.factor("task.context_size", "").numbers
        for place, model in enumerate(self.simulation.models):
            self.everything_at[place] += self.simulation.charges.everything_at(place, tokens)
            self.fits[place] += (
                chunk.rows if sizes is None else int(np.count_nonzero(sizes <= model.max_context))
            )
        if calls[0]:
            self.refused += int(calls[0])
            self.refusals.add(played, np.flatnonzero(chosen == REFUSED))
        self.watched.add(played)
        self.course.add(chunk, played, self._elsewhere(chunk, tokens))
        self._add_outcomes(chunk, tokens, played)
        self._add_recorded(chunk, played)

    def _elsewhere(self, chunk: Chunk, tokens: Tokens) -> Whole:
        """The cost of every row at the model to compare with, in millionths of a micro-dollar."""
        if self.reference is None:
            return np.zeros(chunk.rows, np.int64)
        everywhere = np.full(chunk.rows, self.reference, np.int64)
        return self.simulation.charges.exact(everywhere, tokens, slice(0, chunk.rows))

    def _add_outcomes(self, chunk: Chunk, tokens: Tokens, played: Played) -> None:
        scores = {place: chunk.scores(model.key) for place, model in enumerate(self.simulation.models)}
        known = {place: column for place, column in scores.items() if column is not None}
        if not known:
            return
        self.scored = tuple(known)
        table = np.stack(list(known.values()))
        everywhere = [np.full(chunk.rows, place, np.int64) for place in known]
        costs = np.stack(
            [self.simulation.charges.exact(chosen, tokens, slice(0, chunk.rows)) for chosen in everywhere]
        )
        complete = ~np.isnan(table).any(axis=0)
        cheapest = np.where(table == table.max(axis=0), costs, np.iinfo(np.int64).max).min(axis=0)
        self.oracle_exact += total(cheapest[complete])
        frame = pl.DataFrame(
            {"chosen": played.chosen, **{f"score {place}": column for place, column in known.items()}}
        )
        for *outcome, count in frame.group_by(frame.columns, maintain_order=True).len().iter_rows():
            self.outcomes[tuple(outcome)] += count

    def _add_recorded(self, chunk: Chunk, played: Played) -> None:
        recorded = chunk.series("recorded.model")
        if recorded is None:
            return
        names = pl.Series([*(model.key for model in self.simulation.models), ""])
        now = names.gather(np.where(played.chosen < 0, len(names) - 1, played.chosen))
        frame = pl.DataFrame({"was": recorded.cast(pl.String).fill_null(""), "now": now})
        for was, model, count in frame.group_by("was", "now", maintain_order=True).len().iter_rows():
            self.recorded[was, model] += count


def _reference(simulation: Simulation) -> int | None:
    """The model that "all to the cloud" means in a drawing: the best cloud model that has a price, the
    cheapest of those."""
    priced = [
        (-QUALITIES.index(model.quality), model.price, place)
        for place, model in enumerate(simulation.models)
        if model.locality == "cloud" and model.price is not None
    ]
    return min(priced)[2] if priced else None


class Moves:
    """The rows that one policy gives to other models than another does."""

    def __init__(self, before: Simulation, after: Simulation) -> None:
        self.before, self.after = before, after
        self.groups: dict[tuple[str | None, str | None, tuple[Reason, ...]], Move] = {}
        names = list(dict.fromkeys(model.key for side in (before, after) for model in side.models))
        self._names: list[str | None] = [*names, None]
        self._of_before = _numbers(before, names)
        self._of_after = _numbers(after, names)

    @property
    def rows(self) -> int:
        return sum(move.rows for move in self.groups.values())

    def add(self, chunk: Chunk, was: Played, now: Played) -> None:
        """Counts a chunk."""
        old, new = self._of_before[was.chosen], self._of_after[now.chosen]
        rows = np.flatnonzero(old != new)
        if not len(rows):
            return
        found = Combinations([was, now], rows)
        for place, (row, count) in enumerate(zip(found.rows.tolist(), found.counts.tolist(), strict=True)):
            members = found.members(place)
            if place < MOST_COMBINATIONS:
                reasons = tuple(
                    why_moved(
                        self.before,
                        decision_at(self.before, was, row),
                        self.after,
                        decision_at(self.after, now, row),
                    )
                )
            else:
                reasons = (BEYOND,)
            key = self._names[int(old[row])], self._names[int(new[row])], reasons
            move = self.groups.get(key)
            if move is None:
                move = self.groups[key] = Move(*key, first_row=chunk.first + row)
            move.rows += count
            move.first_row = min(move.first_row, chunk.first + row)
            move.exact_before += total(was.exact[members])
            move.exact_after += total(now.exact[members])


def _numbers(side: Simulation, names: Sequence[str]) -> Whole:
    """A model's number here -> its number in `names`; a refusal, which is -1, -> the number after them."""
    return np.array([*(names.index(model.key) for model in side.models), len(names)], np.int64)

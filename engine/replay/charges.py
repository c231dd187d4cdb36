"""Tokens and chosen models -> the exact cost of each call, and the amount that the ledger books for it.

Exact amounts are whole millionths of a micro-dollar; the ledger rounds each call up to the next micro-dollar
(engine/budget/money).
"""

from collections.abc import Sequence

import numpy as np

from engine.budget.money import PRICED_TOKENS, Rates
from engine.config.catalogue import Model
from engine.replay.encoding import MOST_TOKENS, Chunk, Whole
from engine.replay.errors import UnreadableLog

NOTHING = Rates(0, 0, 0, 0)


def rates_of(model: Model) -> Rates:
    """The rates of a model. A local model is free; so, here, is a model without a price, which the engine's
    own guard never lets through."""
    if model.locality == "local" or model.prices is None:
        return NOTHING
    prices = model.prices
    return Rates.from_usd(prices.input, prices.output, prices.cached_input, prices.cache_write)


class Tokens:
    """The tokens of each row of a chunk at any model: the log's own counts, or those it holds for that model
    alone."""

    def __init__(self, chunk: Chunk, models: Sequence[Model]) -> None:
        none = np.zeros(chunk.rows, np.int64)
        reply, cached = chunk.tokens("tokens.output"), chunk.tokens("tokens.cached")
        self.output = none if reply is None else reply
        self.input = self._prompt(chunk)
        self.cached = cached
        if cached is not None and bool((cached > self.input).any()):
            raise UnreadableLog("tokens.cached is a part of tokens.input, and somewhere it is more")
        self._sums: dict[int, int] = {}
        self._input_of = self._own(chunk, models, "tokens.input", self.input)
        self._output_of = self._own(chunk, models, "tokens.output", self.output)

    def at(self, chosen: Whole, rows: slice) -> tuple[Whole, Whole]:
        """Prompt and reply of each row at its chosen model."""
        if self._input_of is None and self._output_of is None:
            return self.input[rows], self.output[rows]
        places = np.arange(rows.start, rows.stop)
        prompt = self.input[rows] if self._input_of is None else self._input_of[chosen, places]
        reply = self.output[rows] if self._output_of is None else self._output_of[chosen, places]
        return prompt, reply

    def everything_at(self, model: int) -> tuple[Whole, Whole]:
        """Prompt and reply of all rows, if one model answered them all."""
        prompt = self.input if self._input_of is None else self._input_of[model]
        reply = self.output if self._output_of is None else self._output_of[model]
        return prompt, reply

    def sum_of(self, column: Whole) -> int:
        """The sum of a column; the sums of the log's own columns are kept."""
        if column is not self.input and column is not self.output and column is not self.cached:
            return total(column)
        if id(column) not in self._sums:
            self._sums[id(column)] = total(column)
        return self._sums[id(column)]

    @staticmethod
    def _prompt(chunk: Chunk) -> Whole:
        """The prompt's tokens as the log has them; else the size of the exchange less the reply."""
        prompt = chunk.tokens("tokens.input")
        if prompt is not None:
            return prompt
        size = chunk.tokens("task.context_size")
        reply = chunk.tokens("tokens.output")
        if size is None:
            return np.zeros(chunk.rows, np.int64)
        return size if reply is None else np.maximum(size - reply, 0)

    @staticmethod
    def _own(chunk: Chunk, models: Sequence[Model], field: str, otherwise: Whole) -> Whole | None:
        own = [chunk.tokens(f"{field}.{model.key}") for model in models]
        if all(column is None for column in own):
            return None
        # One row more than there are models: a refused task is number -1, the last.
        return np.stack([*(otherwise if column is None else column for column in own), otherwise])


class Charges:
    """The rates of one catalogue; a refused task (model -1) costs nothing."""

    def __init__(self, models: Sequence[Model]) -> None:
        self.rates = [rates_of(model) for model in models]
        every = [*self.rates, NOTHING]
        self._input = np.array([rates.input for rates in every], np.int64)
        self._output = np.array([rates.output for rates in every], np.int64)
        self._cached = np.array([_cached(rates) for rates in every], np.int64)
        if 2 * MOST_TOKENS * max(int(self._input.max()), int(self._output.max()), 1) > 2**63:
            raise UnreadableLog("a price of this catalogue is too high to be counted with")

    def exact(self, chosen: Whole, tokens: Tokens, rows: slice) -> Whole:
        """The cost of each row's call, in millionths of a micro-dollar."""
        prompt, reply = tokens.at(chosen, rows)
        rate = self._input[chosen]
        cost = prompt * rate
        cost += reply * self._output[chosen]
        if tokens.cached is not None:
            cost -= tokens.cached[rows] * (rate - self._cached[chosen])
        return cost

    def everything_at(self, model: int, tokens: Tokens) -> int:
        """The cost of all rows at one model, in millionths of a micro-dollar."""
        prompt, reply = tokens.everything_at(model)
        rates = self.rates[model]
        cost = tokens.sum_of(prompt) * rates.input + tokens.sum_of(reply) * rates.output
        if tokens.cached is not None:
            cost -= tokens.sum_of(tokens.cached) * (rates.input - _cached(rates))
        return cost


def booked(exact: Whole) -> Whole:
    """Micro-dollars, each call rounded up once, as the ledger books it."""
    return (exact + (PRICED_TOKENS - 1)) // PRICED_TOKENS


def total(amounts: Whole) -> int:
    """A sum that cannot overflow."""
    if not len(amounts):
        return 0
    high = amounts >> 24
    return (int(high.sum()) << 24) + int((amounts & 0xFFFFFF).sum())


def _cached(rates: Rates) -> int:
    return rates.input if rates.cached_input is None else rates.cached_input

"""Prices and token counts -> integer micro-dollars.

One micro-dollar is a millionth of a US dollar. A price is an integer of micro-dollars per 1,000,000 tokens,
which is the same as a millionth of a micro-dollar per token. A cost is the exact sum over the token classes,
rounded up once per attempt: 0 <= booked - exact < 1 micro-dollar. No binary fraction appears here or anywhere
in this package.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from functools import lru_cache

from engine.budget.errors import UnknownPrice

PRICED_TOKENS = 1_000_000
# Far above any real amount, far below what a 64-bit column holds.
LARGEST_MICRO_USD = 10**17

# The largest premium over the input price any provider is known to ask for writing its cache.
_UNDECLARED_CACHE_WRITE_FACTOR = 2


def usd(micro_usd: int) -> Decimal:
    """The exact dollar amount, for showing."""
    return Decimal(micro_usd).scaleb(-6)


def limit_from_usd(amount: Decimal | int | str) -> int:
    """A limit in dollars as micro-dollars, rounded down: never more than was allowed.

    Raises ValueError for negative, infinite or absurd amounts, TypeError for floats.
    """
    return _micro_usd(amount, ROUND_FLOOR)


def price_from_usd(per_million_tokens: Decimal | int | str) -> int:
    """A price in dollars per 1,000,000 tokens as micro-dollars, rounded up: never less than is asked.

    Raises ValueError for negative, infinite or absurd amounts, TypeError for floats.
    """
    return _micro_usd(per_million_tokens, ROUND_CEILING)


@lru_cache(maxsize=256, typed=True)
def _micro_usd(amount: Decimal | int | str, rounding: str) -> int:
    if isinstance(amount, bool) or not isinstance(amount, Decimal | int | str):
        raise TypeError(f"money is a Decimal, an int or text, never {type(amount).__name__}")
    exact = Decimal(amount)
    if not exact.is_finite() or exact < 0 or exact.adjusted() > 10:
        raise ValueError(f"not an amount of dollars: {amount}")
    return int(exact.scaleb(6).to_integral_value(rounding=rounding))


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens by class, as the provider bills them; the classes do not overlap.

    `output_tokens` includes reasoning, which every provider bills as output.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0

    def __post_init__(self) -> None:
        if min(self.input_tokens, self.output_tokens, self.cached_input_tokens, self.cache_write_tokens) < 0:
            raise ValueError("token counts are not negative")

    @property
    def prompt_tokens(self) -> int:
        """All that was read, whatever its price; this is what a long-context tier looks at."""
        return self.input_tokens + self.cached_input_tokens + self.cache_write_tokens


@dataclass(frozen=True, slots=True)
class Rates:
    """Micro-dollars per 1,000,000 tokens of each class.

    A missing `cached_input` costs the input rate. A missing `cache_write` is not known: a request that asks
    for cache writes is refused, and one reported unasked is booked at twice the input rate, the dearest
    known.
    """

    input: int
    output: int
    cached_input: int | None = None
    cache_write: int | None = None

    def __post_init__(self) -> None:
        for rate in (self.input, self.output, self.cached_input, self.cache_write):
            if rate is not None and not 0 <= rate <= LARGEST_MICRO_USD:
                raise ValueError("a price is a number of micro-dollars per million tokens, not negative")

    @property
    def free(self) -> bool:
        """True when no token of any class costs anything."""
        return not (self.input or self.output or self.cached_input or self.cache_write)

    @classmethod
    def from_usd(
        cls,
        input: Decimal | int | str,
        output: Decimal | int | str,
        cached_input: Decimal | int | str | None = None,
        cache_write: Decimal | int | str | None = None,
    ) -> "Rates":
        """The rates from dollars per 1,000,000 tokens. Raises ValueError, TypeError as `price_from_usd`."""
        return cls(
            price_from_usd(input),
            price_from_usd(output),
            None if cached_input is None else price_from_usd(cached_input),
            None if cache_write is None else price_from_usd(cache_write),
        )

    def micro_usd_times_million(self, usage: Usage) -> int:
        """The exact cost, in millionths of a micro-dollar."""
        cached_input = self.input if self.cached_input is None else self.cached_input
        cache_write = (
            self.input * _UNDECLARED_CACHE_WRITE_FACTOR if self.cache_write is None else self.cache_write
        )
        return (
            usage.input_tokens * self.input
            + usage.output_tokens * self.output
            + usage.cached_input_tokens * cached_input
            + usage.cache_write_tokens * cache_write
        )

    def dearest_input(self, *, writes_cache: bool) -> int:
        """The most a prompt token can cost.

        Raises UnknownPrice when cache writes are asked for and unpriced.
        """
        if writes_cache and self.cache_write is None:
            raise UnknownPrice(
                "the request writes the provider's cache and the model has no cache_write price"
            )
        return max(self.input, self.cached_input or 0, self.cache_write or 0)


@dataclass(frozen=True, slots=True)
class LongContext:
    """The rates of a whole request whose prompt has more than `above_prompt_tokens` tokens."""

    above_prompt_tokens: int
    rates: Rates


@dataclass(frozen=True, slots=True)
class TokenPrices:
    """What one model costs: its rates, its long-context tier, and a fee per request in micro-dollars."""

    rates: Rates
    long_context: LongContext | None = None
    request_micro_usd: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.request_micro_usd <= LARGEST_MICRO_USD:
            raise ValueError("a fee is a number of micro-dollars, not negative")

    @property
    def free(self) -> bool:
        """True when no usage whatever can cost anything."""
        if self.request_micro_usd or not self.rates.free:
            return False
        return self.long_context is None or self.long_context.rates.free

    def reachable(self, prompt_tokens: int) -> tuple[Rates, ...]:
        """Every tier a prompt of at most `prompt_tokens` tokens can be billed at."""
        if self.long_context is None or prompt_tokens <= self.long_context.above_prompt_tokens:
            return (self.rates,)
        return (self.rates, self.long_context.rates)


FREE = TokenPrices(Rates(0, 0, 0, 0))


def cost_micro_usd(prices: TokenPrices, usage: Usage) -> int:
    """What `usage` costs, in micro-dollars, rounded up once."""
    rates = prices.reachable(usage.prompt_tokens)[-1]
    return prices.request_micro_usd + ceil_divide(rates.micro_usd_times_million(usage), PRICED_TOKENS)


def ceil_divide(dividend: int, divisor: int) -> int:
    return -(-dividend // divisor)


# The same few prices are written and read inside the gate that all writers wait at.
@lru_cache(maxsize=256)
def prices_to_text(prices: TokenPrices) -> str:
    """Prices as the ledger keeps them beside each attempt."""
    tier = prices.long_context
    written: dict[str, object] = {"rates": _rates_to_list(prices.rates)}
    if tier is not None:
        written["above"] = tier.above_prompt_tokens
        written["long"] = _rates_to_list(tier.rates)
    if prices.request_micro_usd:
        written["request"] = prices.request_micro_usd
    return json.dumps(written, separators=(",", ":"))


@lru_cache(maxsize=256)
def prices_from_text(text: str) -> TokenPrices:
    """The inverse of `prices_to_text`."""
    written: Mapping[str, object] = json.loads(text)
    tier = None
    if "above" in written:
        above = written["above"]
        assert isinstance(above, int)
        tier = LongContext(above, _rates_from_list(written["long"]))
    request = written.get("request", 0)
    assert isinstance(request, int)
    return TokenPrices(_rates_from_list(written["rates"]), tier, request)


def _rates_to_list(rates: Rates) -> list[int | None]:
    return [rates.input, rates.output, rates.cached_input, rates.cache_write]


def _rates_from_list(written: object) -> Rates:
    assert isinstance(written, list)
    return Rates(*written)

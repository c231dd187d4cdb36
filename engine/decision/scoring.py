"""A model and weights -> its exact score, before and after preferences.

Scores are integers on a scale that the policy's own decimals fix, so that totals are compared exactly and
no binary float is ever near them. The formula and its constants stand in docs/language.md.
"""

from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from math import floor
from typing import NamedTuple

from engine.config.catalogue import Model
from engine.language.checked_policy import Weigh

QUALITY_PART = {"low": Decimal(25), "medium": Decimal(50), "high": Decimal(75), "very_high": Decimal(100)}
LATENCY_PART = {"low": Decimal(100), "medium": Decimal(50), "high": Decimal(0)}


class Parts(NamedTuple):
    """The three unweighted parts of a score, each 0 to 100."""

    cost: Decimal
    quality: Decimal
    latency: Decimal

    def weighed(self, weights: Weigh) -> Decimal:
        return weights.cost * self.cost + weights.quality * self.quality + weights.latency * self.latency


def parts_of(model: Model) -> Parts:
    return Parts(cost_part(model), QUALITY_PART[model.quality], LATENCY_PART[model.latency])


def cost_part(model: Model) -> Decimal:
    """`100 / (1 + price/10)`, rounded half up to two decimals; a local model counts as 0.1 x relative_cost.

    A cloud model without a price is never eligible, so its part is never used; it is 0.
    """
    price = Fraction(model.relative_cost) / 10 if model.locality == "local" else model.price
    return Decimal(0) if price is None else part_of_price(price)


def part_of_price(price: Fraction) -> Decimal:
    """The cost part of a price, in US dollars per million tokens."""
    return round_half_up(100 / (1 + price / 10), 2)


def round_half_up(value: Fraction, places: int) -> Decimal:
    """As people round: a half goes away from zero."""
    scaled = floor(abs(value) * 10**places + Fraction(1, 2))
    return Decimal(scaled if value >= 0 else -scaled).scaleb(-places)


def scale_of(numbers: Iterable[Decimal], weights: Iterable[Weigh]) -> int:
    """Decimal places at which every score of a policy is a whole number."""
    places = 2 + max(
        (_places(share) for weigh in weights for share in (weigh.cost, weigh.quality, weigh.latency)),
        default=0,
    )
    return max([places, *(_places(number) for number in numbers)])


def _places(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int), "a written number is finite"
    return max(0, -exponent)


def tie_order(models: tuple[Model, ...]) -> tuple[int, ...]:
    """Each model's place when totals are equal: local, then cheaper, then catalogue order."""

    def key(index: int) -> tuple[bool, Fraction, int]:
        model = models[index]
        price = Fraction(model.relative_cost) if model.locality == "local" else model.price
        return model.locality == "cloud", Fraction(10**12) if price is None else price, index

    ranked = sorted(range(len(models)), key=key)
    return tuple(ranked.index(index) for index in range(len(models)))

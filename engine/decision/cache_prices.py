"""The prices of a session's prompt cache -> rules of the engine's own, so that staying wins exactly while it
is cheaper.

A model in `session.warm` reads the beginning of the prompt at its cached price. Any other model must write it
first in a session that has a warm one: at the price of a cache write, where it has such a price. What that
changes in the cost part of a score depends on the weights in force, so there is one preference for each
`weigh` and model; as ordinary rules they are explained, drawn and judged as all others are.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

from engine.config.catalogue import Model
from engine.decision.scoring import part_of_price
from engine.language.checked_policy import (
    All,
    CheckedPolicy,
    Condition,
    Has,
    In,
    IsEmpty,
    Not,
    Origin,
    Prefer,
    Rule,
    Weigh,
)


def with_cache_prices(checked: CheckedPolicy, models: Sequence[Model]) -> CheckedPolicy:
    """The policy and these rules, behind all others."""
    priced = [model for model in models if model.warm_price is not None or model.written_price is not None]
    if not priced:
        return checked
    rules = tuple(rule for model in priced for rule in _rules(model, checked.rules))
    return replace(checked, rules=(*checked.rules, *rules))


def is_cache_price(rule: Rule) -> bool:
    """Whether it is one of these rules; no author can write such a name."""
    return rule.name.startswith(("warm price of ", "first price of "))


def _rules(model: Model, rules: Sequence[Rule]) -> Iterator[Rule]:
    prices, usual = model.prices, model.price
    assert prices is not None
    assert usual is not None
    here = Has("session.warm", model.key, model.span)
    begun = Not(IsEmpty("session.warm", model.span), model.span)
    elsewhere = All((begun, Not(here, model.span)), model.span)
    for what, price, of_input, when in (
        ("warm", model.warm_price, prices.cached_input, here),
        ("first", model.written_price, prices.cache_write, elsewhere),
    ):
        if price is not None and of_input is not None:
            because = f"{what}: {_usd(of_input)} instead of {_usd(prices.input)} per million in"
            change = part_of_price(price) - part_of_price(usual)
            yield from _by_weights(f"{what} price of {model.key}", model, change, when, rules, because)


def _by_weights(
    name: str, model: Model, change: Decimal, when: Condition, rules: Sequence[Rule], because: str
) -> Iterator[Rule]:
    """One preference for each `weigh`, when it is the first that holds."""
    earlier: list[Condition] = []
    for rule in rules:
        if isinstance(rule.effect, Weigh):
            points = rule.effect.cost * change
            if points:
                selected = In("model.id", frozenset({model.key}), model.span)
                condition = All((when, rule.condition, *earlier), model.span)
                yield Rule(
                    f"{name} ({rule.name})",
                    Prefer(selected, points),
                    condition,
                    because,
                    False,
                    Origin.BASE,
                    model.span,
                    model.span,
                )
            earlier.append(Not(rule.condition, model.span))


def _usd(price: Decimal) -> str:
    """With two decimals at least."""
    exponent = price.normalize().as_tuple().exponent
    places = max(2, -exponent) if isinstance(exponent, int) else 2
    return f"${price:.{places}f}"


def price_in_session(model: Model, warm: frozenset[str]) -> Fraction | None:
    """The blended price of a call there, given the models that are warm."""
    if model.key in warm:
        return model.price if model.warm_price is None else model.warm_price
    if warm and model.written_price is not None:
        return model.written_price
    return model.price

"""A price far from what the model is known to cost, or one that looks like another unit."""

from collections.abc import Iterator
from decimal import Decimal
from functools import cache

from engine.analysis.lint_context import LintContext
from engine.analysis.lint_rule import MODELS, WARNING, Example, Finding, LintRule
from engine.bundled import bundled_text
from engine.config.catalogue import Model, Prices, load_catalogue
from engine.config.yaml_source import read_yaml
from engine.language.diagnostics import Problems
from engine.language.source import Source

_FAR = 10
_BY_THE_TOKEN = Decimal("0.001")
_BY_THE_THOUSAND = Decimal(1000)


def check(context: LintContext) -> Iterator[Finding]:
    for model in context.policy.catalogue.models:
        if model.prices is not None and (found := _odd(model, model.prices)) is not None:
            message, help = found
            yield Finding(model.span, f"`{model.key}` {message}", help)


def _odd(model: Model, prices: Prices) -> tuple[str, str] | None:
    listed = _listed().get(model.id)
    if (
        listed is not None
        and prices != listed
        and (prices.input, prices.output) == (listed.output, listed.input)
    ):
        return (
            f"costs ${prices.input} in and ${prices.output} out, the other way round than listed",
            f"if it is that, write `input_per_1m: {listed.input}` and `output_per_1m: {listed.output}`",
        )
    for name, price, usual in (
        ("input", prices.input, listed and listed.input),
        ("output", prices.output, listed and listed.output),
    ):
        if usual and price and not usual / _FAR < price < usual * _FAR:
            return (
                f"costs ${price:f} a million tokens of {name}, and ${usual:f} is its list price",
                "prices are US dollars per million tokens: look which of the two holds",
            )
        if usual is None and 0 < price < _BY_THE_TOKEN:
            return (
                f"costs ${price:f} a million tokens of {name}, which looks like a price by the token",
                "prices are US dollars per million tokens",
            )
        if usual is None and price > _BY_THE_THOUSAND:
            return (
                f"costs ${price:f} a million tokens of {name}, which looks like a price of another unit",
                "a price list per million tokens goes into `input_per_1m` and `output_per_1m`",
            )
    if prices.output and prices.input > prices.output:
        return (
            f"costs more in (${prices.input:f}) than out (${prices.output:f})",
            "look whether the two are swapped",
        )
    return None


@cache
def _listed() -> dict[str, Prices]:
    """What the models of the bundled default set cost."""
    problems = Problems()
    text = bundled_text("policies", "default", "models.yaml")
    document = read_yaml(Source("models.yaml", text), problems)
    assert document is not None
    return {model.id: model.prices for model in load_catalogue(document, problems).models if model.prices}


RULE = LintRule(
    slug="odd-price",
    level=WARNING,
    summary="a price far from the list price, or of another unit",
    why=(
        "Budgets, scores and `model.call_cost` all count with the price that is written: one that is a "
        "hundred times too low lets a hundred times as much be spent."
    ),
    bad=Example("", ("gpt",), models=MODELS.replace("input_per_1m: 2,", "input_per_1m: 0.000002,")),
    good=Example(""),
    near_miss=Example("", models=MODELS.replace("input_per_1m: 2,", "input_per_1m: 0,")),
    check=check,
)

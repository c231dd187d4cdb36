"""A price about a thousand times away from what the model is sold for."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

from engine.analysis.lint_context import LintContext
from engine.analysis.lint_rule import ERROR, MODELS, WARNING, Example, Finding, LintRule
from engine.analysis.policy_diff import compare
from engine.analysis.reference_prices import reference_price
from engine.config.catalogue import Model, Prices
from engine.config.section import Section
from engine.config.yaml_source import read_yaml
from engine.decision.compiler import compile_policy
from engine.language.diagnostics import Problems, visible
from engine.language.source import Span
from engine.policy import Policy

_DEAREST = Fraction(1000)
"""US dollars per million tokens, blended, that no model known to the table comes near."""
_MOST_WORK = 200_000
_STEPS_A_MODEL = 1_000
"""Steps (see `lint_questions`) that it takes to compile one model once more."""


def check(context: LintContext) -> Iterator[Finding]:
    places: dict[tuple[str, str], Span] = {}
    for model in context.compiled.models:
        if model.prices is None or model.locality == "local":
            continue
        factor = _factor(model)
        if factor is None:
            continue
        known = reference_price(model.id)
        far = "too high" if factor > 1 else "too low"
        sold = (
            f"it is sold at ${_usd(known.blended)} (table of {known.date})"
            if known
            else "no model is sold at such a price"
        )
        steps = _STEPS_A_MODEL * len(context.compiled.models)
        changes = context.affords("price-off", steps) and _changes_a_decision(context, model, factor)
        effect = ", and that changes decisions" if changes else ""
        yield Finding(
            (places := places or _places(context)).get((model.provider, model.id), model.span),
            f"`{visible(model.key)}` costs ${_usd(model.prices.blended)} per million tokens here, about "
            f"1000 times {far}{effect}: {sold}",
            "prices are often given per million tokens: write `input_per_1m` and `output_per_1m`",
            level=ERROR if changes else WARNING,
        )


def _factor(model: Model) -> Fraction | None:
    """1000 or 1/1000 when the price is off by about that, else None."""
    assert model.prices is not None
    price, known = model.prices.blended, reference_price(model.id)
    if known is None or not known.blended:
        return Fraction(1000) if price >= _DEAREST else None
    ratio = price / known.blended
    if 300 <= ratio <= 3000:
        return Fraction(1000)
    return Fraction(1, 1000) if ratio and 300 <= 1 / ratio <= 3000 else None


def _usd(price: Fraction) -> str:
    digits = format(Decimal(price.numerator) / Decimal(price.denominator), ".4f").rstrip("0").rstrip(".")
    return digits or "0"


def _changes_a_decision(context: LintContext, model: Model, factor: Fraction) -> bool:
    """Whether some task in the default mode is decided otherwise with the price put right."""
    policy = context.policy
    mended = _with_price(policy, model, factor)
    difference = compare(policy, mended, _MOST_WORK, most_regions=1, mode=policy.names.default_mode)
    return bool(difference.regions)


def _with_price(policy: Policy, model: Model, factor: Fraction) -> Policy:
    assert model.prices is not None
    divisor = Decimal(factor.numerator) / Decimal(factor.denominator)
    prices = Prices(model.prices.input / divisor, model.prices.output / divisor)
    models = tuple(
        replace(each, prices=prices) if each is model else each for each in policy.catalogue.models
    )
    compiled = compile_policy(policy.checked, models, policy.names, Problems())
    return replace(policy, catalogue=replace(policy.catalogue, models=models), compiled=compiled)


def _places(context: LintContext) -> dict[tuple[str, str], Span]:
    """Where the input price of each model stands, by provider and id."""
    document = read_yaml(context.policy.folder.models, Problems())
    assert document is not None, "it has been read before"
    places = {}
    for name, provider in Section.of(document).section("providers").sections():
        for each in provider.members("models"):
            costs = each.section("cost_profile")
            keys = [key for key in ("input_per_1k", "input_per_1m") if key in costs]
            if keys:
                places[name, each.text("id") or ""] = costs.at(keys[0])
    return places


_ONE_K = MODELS.replace("id: gpt\n", "id: gpt-4o\n").replace(
    "input_per_1m: 2, output_per_1m: 10", "input_per_1k: 2.5, output_per_1k: 10"
)

RULE = LintRule(
    slug="price-off",
    level=ERROR,
    summary="a price a thousand times away from what the model is sold for",
    why="Vendors give prices per million tokens. Written per thousand, the model looks a thousand times "
    "dearer and is never chosen. "
    "It is an error where it changes a decision of the default mode, otherwise a warning.",
    bad=Example("", ("2.5",), models=_ONE_K),
    good=Example("", models=_ONE_K.replace("_per_1k", "_per_1m")),
    near_miss=Example(
        "",
        models=_ONE_K.replace("input_per_1k: 2.5, output_per_1k: 10", "input_per_1m: 25, output_per_1m: 100"),
    ),
    check=check,
)

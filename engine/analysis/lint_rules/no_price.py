"""A cloud model without a price (reported when models.yaml is read)."""

from engine.analysis.lint_rule import MODELS, WARNING, Example, LintRule

_UNPRICED = MODELS.replace("        cost_profile: {type: paid, input_per_1m: 2, output_per_1m: 10}\n", "")

RULE = LintRule(
    slug="no-price",
    level=WARNING,
    summary="a cloud model without a price",
    why="An unknown price is not a price of zero: the model is never chosen until one is written.",
    bad=Example("forbid f: small when task.labels has pii\n", ("gpt",), models=_UNPRICED),
    good=Example("forbid f: small when task.labels has pii\n"),
    near_miss=Example(
        "forbid f: small when task.labels has pii\n",
        models=MODELS.replace("input_per_1m: 2,", "input_per_1m: 0,"),
    ),
)

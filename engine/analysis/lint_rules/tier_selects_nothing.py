"""A tier of a route that selects no model of the catalogue."""

from collections.abc import Iterator

from engine.analysis.lint_context import LintContext
from engine.analysis.lint_rule import WARNING, Example, Finding, LintRule
from engine.language.checked_policy import Use


def check(context: LintContext) -> Iterator[Finding]:
    for index, rule in context.of_effect(Use):
        for place, tier in enumerate(context.compiled.tiers[index]):
            if not tier.always and not tier.depending:
                yield Finding(
                    context.tier_span(rule, place),
                    "no model of models.yaml is selected by this tier",
                    "write what some model has, or leave the tier out",
                )


RULE = LintRule(
    slug="tier-selects-nothing",
    level=WARNING,
    summary="a tier that selects no model",
    why="It is passed over every time.",
    bad=Example("route r: use model.quality is medium, then any\n", ("model.quality is medium",)),
    good=Example("route r: use model.quality is high, then any\n"),
    near_miss=Example("route r: use model.capabilities has task.type, then any\n"),
    check=check,
)

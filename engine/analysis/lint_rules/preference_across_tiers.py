"""A preference for models that never share a tier with the others."""

from collections.abc import Iterator

from engine.analysis.lint_context import LintContext
from engine.analysis.lint_rule import WARNING, Example, Finding, LintRule


def check(context: LintContext) -> Iterator[Finding]:
    for index in context.reachability.across_tiers:
        rule = context.compiled.rules[index]
        yield Finding(
            rule.name_span,
            f"`{rule.name}` can never act: the models it favours never share a tier with others",
            "preferences order models within a tier; to lift one over another tier, change the route",
        )


RULE = LintRule(
    slug="preference-across-tiers",
    level=WARNING,
    summary="a preference that would have to act across tiers",
    why="Preferences order models within a tier and never across tiers.",
    bad=Example("route r: use local, then cloud\nprefer p: cloud by 50\n", ("p",)),
    good=Example("prefer p: cloud by 50\n"),
    near_miss=Example("route r: use local, then cloud\nprefer p: model.latency is high by 50\n"),
    check=check,
)

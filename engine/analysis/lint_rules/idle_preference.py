"""A preference that never changes an order."""

from collections.abc import Iterator

from engine.analysis.lint_context import LintContext
from engine.analysis.lint_rule import INFO, Example, Finding, LintRule


def check(context: LintContext) -> Iterator[Finding]:
    for index in context.reachability.idle_preferences:
        if index not in context.reachability.across_tiers:
            rule = context.compiled.rules[index]
            why = (
                "every model gets its points alike"
                if context.reachability.favours_all_alike(index)
                else "its points never suffice"
            )
            help = "give it more points, select fewer models, or take it away"
            yield Finding(rule.name_span, f"`{rule.name}` never changes the order of a chain: {why}", help)


RULE = LintRule(
    slug="idle-preference",
    level=INFO,
    summary="a preference that never changes an order",
    why="Points that are always too few, or always given to everyone, decide nothing.",
    bad=Example("prefer p: small by 0.01\n", ("p",)),
    good=Example("prefer p: small by 60\n"),
    near_miss=Example(
        "prefer p: small by 30 when task.type is qa\nprefer q: small by 30 when task.criticality is high\n"
    ),
    check=check,
)

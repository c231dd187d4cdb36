"""A tier whose models can never be picked there."""

from collections.abc import Iterator

from engine.analysis.lint_context import LintContext
from engine.analysis.lint_rule import WARNING, Example, Finding, LintRule
from engine.analysis.questions import every, none_live, some_live
from engine.language.checked_policy import Use


def check(context: LintContext) -> Iterator[Finding]:
    for index, rule in context.of_effect(Use):
        if index in context.reachability.never or index in context.reachability.unreachable:
            continue
        taken = [some_live(context.bits(index)), none_live(context.earlier(index, context.compiled.routes))]
        placed: set[int] = set()
        for place, tier in enumerate(context.compiled.tiers[index]):
            members = {**dict.fromkeys(tier.always, 0), **dict(tier.depending)}
            fresh = {model: mask for model, mask in members.items() if model not in placed}
            placed.update(tier.always)
            goals = [
                every(*taken, none_live(context.compiled.guards[model]), *([some_live(mask)] if mask else []))
                for model, mask in fresh.items()
            ]
            if members and (not fresh or context.find("tier-never-used", goals) is None):
                why = (
                    "none of its models is selected and allowed when the route is taken"
                    if fresh
                    else "its models stand in earlier tiers already"
                )
                yield Finding(
                    context.tier_span(rule, place),
                    f"this tier of `{rule.name}` never adds a model: {why}",
                    "leave it out, or loosen what is in its way",
                )


RULE = LintRule(
    slug="tier-never-used",
    level=WARNING,
    summary="models in a route that can never be picked",
    why="The route reads as if it had a way out that it does not have.",
    bad=Example(
        "forbid f: cloud when task.labels has pii\nroute r: use cloud, then local when task.labels has pii\n",
        ("cloud",),
    ),
    good=Example("forbid f: cloud when task.labels has pii\nroute r: use local when task.labels has pii\n"),
    near_miss=Example(
        "forbid f: cloud when task.labels has pii\nroute r: use cloud, then local when task.type is qa\n"
    ),
    check=check,
)

"""A route for tasks that call tools whose fallback has no model known to call them."""

from collections.abc import Iterator

from engine.analysis.lint_context import LintContext
from engine.analysis.lint_rule import WARNING, Example, Finding, LintRule
from engine.decision.cubes import NameSet
from engine.decision.partitions import bits_of
from engine.language.checked_policy import Use


def check(context: LintContext) -> Iterator[Finding]:
    policy = context.compiled
    for index, rule in context.of_effect(Use):
        if not _requires_tools(context, index):
            continue
        tiers = [{*tier.always, *(model for model, _ in tier.depending)} for tier in policy.tiers[index]]
        able = [any(policy.models[model].tools == "yes" for model in tier) for tier in tiers]
        for place in range(1, len(tiers)):
            if tiers[place] and able[0] and not able[place]:
                yield Finding(
                    context.tier_span(rule, place),
                    f"`{rule.name}` is for tasks that call tools, and no model of this fallback is known "
                    "to call them",
                    "name a model with `tools: yes`, or say so in models.yaml",
                )


def _requires_tools(context: LintContext, index: int) -> bool:
    """Whether the route is taken only by tasks that call tools."""
    constraints = [
        context.compiled.cubes[bit].get("task.tool_use_required") for bit in bits_of(context.bits(index))
    ]
    return bool(constraints) and all(
        isinstance(each, NameSet) and (("yes" in each.members) is each.inside) for each in constraints
    )


RULE = LintRule(
    slug="fallback-without-tools",
    level=WARNING,
    summary="a route for tools with a fallback that has none",
    why="The fallback is then blocked, or fails at the first tool call: the task has no second chance "
    "where it seems to have one.",
    bad=Example("route r: use cloud, then small when task.tool_use_required\n", ("small",)),
    good=Example("route r: use cloud, then big when task.tool_use_required\n"),
    near_miss=Example("route r: use cloud, then small when not task.tool_use_required\n"),
    check=check,
)

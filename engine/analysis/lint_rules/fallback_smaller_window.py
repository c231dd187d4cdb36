"""A route for long tasks whose fallback has a smaller window than its first tier."""

from collections.abc import Iterator

from engine.analysis.lint_context import LintContext
from engine.analysis.lint_rule import WARNING, Example, Finding, LintRule
from engine.decision.cubes import Interval
from engine.decision.partitions import bits_of
from engine.language.checked_policy import Use


def check(context: LintContext) -> Iterator[Finding]:
    policy = context.compiled
    for index, rule in context.of_effect(Use):
        shortest = _shortest(context, index)
        if not shortest:
            continue
        windows = [
            max(
                (
                    policy.models[model].max_context
                    for model in (*tier.always, *(m for m, _ in tier.depending))
                ),
                default=0,
            )
            for tier in policy.tiers[index]
        ]
        largest = windows[0]
        for place, window in enumerate(windows[1:], start=1):
            if shortest <= window < largest and window == max(windows[1:]):
                yield Finding(
                    context.tier_span(rule, place),
                    f"`{rule.name}` is for long tasks, and its fallback takes {window:,} tokens where the "
                    f"first tier takes {largest:,}",
                    "longer tasks have no fallback: add a model with a larger window",
                )
                break


def _shortest(context: LintContext, index: int) -> int:
    """The least context size with which the route is taken, 0 when its condition does not ask for one."""
    lows = []
    for bit in bits_of(context.bits(index)):
        constraint = context.compiled.cubes[bit].get("task.context_size")
        lows.append(int(constraint.low[0]) if isinstance(constraint, Interval) else 0)
    return max(0, min(lows, default=0))


RULE = LintRule(
    slug="fallback-smaller-window",
    level=WARNING,
    summary="a route for long tasks with a fallback that takes only the shorter of them",
    why="When the first tier fails, the tasks the route was written for find a fallback they do not fit "
    "into.",
    bad=Example("route r: use cloud, then local when task.context_size > 16k\n", ("local",)),
    good=Example("route r: use local, then cloud when task.context_size > 16k\n"),
    near_miss=Example("route r: use cloud, then local when task.type is code\n"),
    check=check,
)
